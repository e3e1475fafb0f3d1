"""Stock JupyterHub as a peer of the measurements: its spawner starts nothing, so that what is left is the hub's own work."""

import os

from jupyterhub.spawner import Spawner


class SharedServer(Spawner):
    """All servers are one program, which runs already and answers everything."""

    up = False

    async def start(self):
        self.up = True
        with open(os.environ["BENCH_SECRETS"], "a") as f:
            f.write(f"{self.user.name} {self.api_token}\n")
        return ("127.0.0.1", int(os.environ["BENCH_NOTEBOOK_PORT"]))

    async def stop(self, now=False):
        self.up = False

    async def poll(self):
        return None if self.up else 0

    def get_state(self):
        return {**super().get_state(), "up": self.up}

    def load_state(self, state):
        super().load_state(state)
        self.up = state.get("up", False)

    def clear_state(self):
        super().clear_state()
        self.up = False


c = get_config()  # noqa: F821

c.JupyterHub.log_level = 30
c.JupyterHub.db_url = os.environ["BENCH_DATABASE"]
c.JupyterHub.hub_bind_url = os.environ["BENCH_HUB"]
c.JupyterHub.bind_url = os.environ["BENCH_PROXY"]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = SharedServer
# A restart finds the servers as it left them.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.authenticate_prometheus = False

# The table of routes is kept by the program that measures.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = os.environ["BENCH_ROUTES"]
c.ConfigurableHTTPProxy.auth_token = "bench"

c.JupyterHub.services = [{"name": "bench", "api_token": os.environ["BENCH_TOKEN"]}]
c.JupyterHub.load_roles = [
    {
        "name": "bench",
        "services": ["bench"],
        "scopes": ["admin:users", "admin:servers", "list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
