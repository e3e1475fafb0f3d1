#!/usr/bin/env python3
"""Asks the server whether it answers, as nobody in particular: what it says without a login is enough."""

import os
import sys
import urllib.error
import urllib.parse
import urllib.request

url = urllib.parse.urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:8888/")
try:
    urllib.request.urlopen(f"http://127.0.0.1:{url.port or 8888}{url.path}api", timeout=2)
except urllib.error.HTTPError as answer:
    sys.exit(answer.code >= 500)
except OSError:
    sys.exit(1)
