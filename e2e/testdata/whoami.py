"""A service as people write them: it logs visitors in through the hub and tells who they are, with nothing but what JupyterHub's package brings."""

import json
import os
from urllib.parse import urlparse

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler, authenticated


class WhoAmI(HubOAuthenticated, RequestHandler):
    @authenticated
    def get(self):
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(self.get_current_user()))


prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
app = Application([(prefix, WhoAmI), (prefix + "oauth_callback", HubOAuthCallbackHandler)], cookie_secret=os.urandom(32))
url = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
app.listen(url.port, url.hostname)
IOLoop.current().start()
