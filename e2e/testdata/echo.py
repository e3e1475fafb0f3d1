"""A program of a user's own, as people run them beside their notebooks: it tells how it was asked, sends visitors elsewhere, and echoes on a websocket.

It is started with the port on which it listens, on the loopback interface alone.
"""

import sys

from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler


class Tell(RequestHandler):
    def get(self):
        self.write({"uri": self.request.uri, "host": self.request.host, "prefix": self.request.headers.get("X-Forwarded-Prefix", ""), "got": len(self.request.body)})

    post = get


class Elsewhere(RequestHandler):
    def get(self):
        self.redirect(self.request.path.replace("/elsewhere", "/tell") + "?by=redirect")


class Echo(WebSocketHandler):
    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


# Asked by an absolute path, it finds itself below the user's prefix.
app = Application([(r"/(?:.*/)?tell", Tell), (r"/(?:.*/)?elsewhere", Elsewhere), (r"/(?:.*/)?echo", Echo), (r"/.*", Tell)])
app.listen(int(sys.argv[1]), "127.0.0.1")
IOLoop.current().start()
