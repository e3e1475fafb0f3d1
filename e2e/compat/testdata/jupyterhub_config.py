"""Stock JupyterHub for the side-by-side suite: everybody may log in with one password, and servers are a stub."""

import os

from jupyterhub.spawner import SimpleLocalProcessSpawner


class StubSpawner(SimpleLocalProcessSpawner):
    """Runs the stub, which listens where JUPYTERHUB_SERVICE_URL says. The servers of one user cannot be started at all."""

    async def start(self):
        if self.user.name == "fay":
            raise RuntimeError("this user's servers end at once")
        return await super().start()


c = get_config()  # noqa: F821

c.JupyterHub.log_level = 20
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
c.JupyterHub.bind_url = os.environ["COMPAT_PUBLIC"]
c.JupyterHub.hub_bind_url = os.environ["COMPAT_HUB"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 10, "slow_stop_timeout": 10}
c.JupyterHub.allow_named_servers = True

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ["COMPAT_PASSWORD"]
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}

c.JupyterHub.spawner_class = StubSpawner
c.StubSpawner.cmd = [os.environ["COMPAT_STUB_PROGRAM"]]
# Without the second one a program under the race detector takes a second to end.
c.StubSpawner.environment = {"COMPAT_STUB": "1", "GORACE": "atexit_sleep_ms=0"}
c.StubSpawner.home_dir_template = os.path.join(os.getcwd(), "home", "{username}")
c.Spawner.http_timeout = 600
c.Spawner.start_timeout = 600

c.JupyterHub.custom_scopes = {
    "custom:grader:write": {"description": "Grade", "subscopes": ["custom:grader:read"]},
    "custom:grader:read": {"description": "Read grades"},
}
c.JupyterHub.services = [{"name": "culler", "api_token": os.environ["COMPAT_SERVICE_TOKEN"]}]
c.JupyterHub.load_roles = [
    {"name": "watcher", "scopes": ["list:users", "read:servers", "read:roles", "custom:grader:read"], "users": ["dave"]},
    {"name": "assistant", "scopes": ["admin:servers!group=lab", "list:users!group=lab", "tokens!group=lab", "groups!group=lab"], "groups": ["staff"]},
    {"name": "idle-culler", "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"], "services": ["culler"]},
    {"name": "grader", "scopes": ["custom:grader:write", "access:services", "read:users!user"], "users": ["gina"]},
]

# The proxy is a part of the test.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = os.environ["COMPAT_ROUTES"]
c.ConfigurableHTTPProxy.auth_token = "compat"
