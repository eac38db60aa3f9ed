"""TEN141: HTTP and WebSocket clients."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request")
_MODULES = ("requests", "httpx", "niquests", "curl_cffi.requests", "requests.api")
_CLIENTS = (
    "requests.Session",
    "httpx.Client",
    "httpx.AsyncClient",
    "aiohttp.ClientSession",
    "niquests.Session",
    "niquests.AsyncSession",
    "curl_cffi.requests.Session",
    "curl_cffi.requests.AsyncSession",
    "httplib2.Http",
    "urllib3.PoolManager",
    "urllib3.HTTPConnectionPool",
    "urllib3.HTTPSConnectionPool",
    "treq.client.HTTPClient",
)
_OTHERS = (
    "aiohttp.request",
    "http.client.HTTPConnection.connect",
    "http.client.HTTPConnection.getresponse",
    "http.client.HTTPConnection.request",
    "http.client.HTTPSConnection.connect",
    "http.client.HTTPSConnection.getresponse",
    "http.client.HTTPSConnection.request",
    "httpx.stream",
    "pycurl.Curl.perform",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "urllib.request.build_opener.open",
    "urllib3.request",
    "websocket.create_connection",
    "websocket.WebSocket.connect",
    "websocket.WebSocketApp.run_forever",
    "websockets.connect",
    "websockets.client.connect",
    "websockets.sync.client.connect",
)

RULE = Rule(
    id="TEN141",
    name="http-call",
    message="{text}() calls a service over HTTP",
    why="The answer depends on the service and the network, and the call is not recorded.",
    breaks="Every replay calls the service again: what it does is done twice, another answer takes another "
    "branch, and a service that is down fails a workflow that was long past this line.",
    instead="Call it in an activity, whose result is recorded once: yield ctx.call_activity(fetch, input=url).",
    calls={
        **{f"{module}.{verb}": Use() for module in _MODULES for verb in _VERBS},
        **{f"treq.{verb}": Use() for verb in _VERBS},
        **{f"{client}.{verb}": Use() for client in _CLIENTS for verb in (*_VERBS, "send", "stream", "urlopen")},
        "aiohttp.ClientSession.ws_connect": Use(),
        **{name: Use() for name in _OTHERS},
    },
    extensible=True,
)
