"""Health, metrics and drain over HTTP, for kubelets, Prometheus and people.

`/livez`: the process's loop turns. `/readyz`: commands can be taken. `/drain`: begin to go, answered when drained;
only for a loopback peer or with the token, because whoever may call it can stop the engine's work.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from aiohttp import web

from tenuto_engine.edge.auth import is_authorized
from tenuto_engine.ports.serving import Probed


class HttpEdge:
    """The HTTP application of one engine."""

    def __init__(self, engine: Probed, *, token: bytes) -> None:
        self._engine = engine
        self._token = token
        self.on_drain: Callable[[], None] = lambda: None

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_route("*", "/drain", self._drain)
        return app

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._engine.is_ready:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="draining: this engine takes no more work\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._engine.metrics_page(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _drain(self, request: web.Request) -> web.Response:
        if request.method not in {"GET", "POST"}:
            return web.Response(status=405, text="use GET or POST\n")
        if not self._may_drain(request):
            return web.Response(
                status=403, text="drain needs the token ('authorization: Bearer ...') or a loopback peer\n"
            )
        await self._engine.drain()
        self.on_drain()
        return web.Response(text="drained\n")

    def _may_drain(self, request: web.Request) -> bool:
        if self._token and is_authorized(request.headers.get("Authorization"), self._token):
            return True
        try:
            return ipaddress.ip_address(request.remote or "").is_loopback
        except ValueError:
            return False
