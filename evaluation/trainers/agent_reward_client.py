"""Asks `agent reward serve`; used by the shims beside this file. Standard library only.

Environment:
  AGENT_REWARD_URL      the server, such as http://127.0.0.1:8970 (the default)
  AGENT_REWARD_KIND     similarity or tests; default: the server's --kind
  AGENT_REWARD_TIMEOUT  seconds after which a request is given up, retries included (default 900)
"""

import http.client
import json
import os
import random
import threading
import time
import urllib.parse

RETRIED = (429, 503)
_local = threading.local()


class RewardUnavailable(RuntimeError):
    """No true reward could be had. Never take a number in its place."""


def seconds_left(end):
    return end - time.monotonic()


def time_limit():
    return time.monotonic() + float(os.environ.get("AGENT_REWARD_TIMEOUT", "900"))


def _plain(value):
    """Arrays and scalars of NumPy and the like, which data loaders hand over."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _send(url, path, body, timeout):
    """One try over a connection that stays open: status, Retry-After, document."""
    kept = getattr(_local, "kept", None)
    if kept is None or kept[0] != url.netloc:
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        kept = (url.netloc, kind(url.netloc, timeout=timeout))
        _local.kept = kept
    connection = kept[1]
    try:
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except BaseException:
        connection.close()
        _local.kept = None
        raise
    return response.status, response.headers.get("Retry-After"), text


def ask(path, document, end=None):
    """POSTs a document and returns the answer. Waits and asks again while the server is busy,
    restarts, or could not judge; raises ValueError for a request that it cannot understand."""
    url = urllib.parse.urlsplit(os.environ.get("AGENT_REWARD_URL", "http://127.0.0.1:8970"))
    path = url.path.rstrip("/") + path
    if kind := os.environ.get("AGENT_REWARD_KIND"):
        path += "?kind=" + urllib.parse.quote(kind)
    body = json.dumps(document, default=_plain).encode()
    end = time_limit() if end is None else end
    wait, trouble = 0.25, "the time limit is 0"
    while (left := seconds_left(end)) > 0:
        after = None
        try:
            status, after, text = _send(url, path, body, left)
        except (OSError, http.client.HTTPException) as error:
            trouble = f"{type(error).__name__}: {error}"
        else:
            if status == 200:
                return json.loads(text)
            trouble = f"status {status}: {text.decode(errors='replace')}"
            if status not in RETRIED:
                raise ValueError(f"{url.geturl()} refuses the request, {trouble}")
        wait = min(wait * 2, 15.0)
        pause = max(float(after), wait / 4) if after and after.isdigit() else wait
        time.sleep(max(0.0, min(pause * random.uniform(0.75, 1.25), seconds_left(end))))
    raise RewardUnavailable(f"no reward from {url.geturl()}: {trouble}")
