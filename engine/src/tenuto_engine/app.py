"""The composition root: the only module that knows every class of the engine."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from aiohttp import web

from tenuto_engine.edge.auth import TokenInterceptor, read_token
from tenuto_engine.edge.dapr_http import DaprHttpEdge
from tenuto_engine.edge.durabletask.dialects import DAPR, MICROSOFT
from tenuto_engine.edge.durabletask.service import durabletask_service
from tenuto_engine.edge.handlers import Service, new_server
from tenuto_engine.edge.http import HttpEdge
from tenuto_engine.edge.management_service import ManagementService
from tenuto_engine.edge.worker_service import WorkerService
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.notifier import Notifier
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.caretakers import Caretakers
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.engine import Engine
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.tracing import Tracing
from tenuto_engine.settings import Settings, SettingsRefused
from tenuto_engine.storage.urls import Stores

_log = structlog.get_logger(__name__)


class EngineApp:
    """An engine with its edges: one process, or a part of a test's process.

    `more_leases` makes further lease stores, each with a connection of its own, for versions that nobody serves; None
    where none are looked after.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        leases: LeaseStore,
        *,
        notifier: Notifier | None = None,
        more_leases: Callable[[], LeaseStore] | None = None,
        faults: Faults | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.settings = settings
        runtime = settings.runtime
        metrics = Metrics(app=runtime.app, version=runtime.version)
        self._tracing = tracing or Tracing()
        context = Context(
            runtime,
            settings.limits,
            metrics=metrics,
            faults=faults or Faults(),
            notifier=notifier,
            tracing=self._tracing,
        )
        self.engine = Engine(context, store, leases)
        self._caretakers = Caretakers(self.engine, store, more_leases) if more_leases is not None else None
        self._tasks = TaskOwner()
        self._token = read_token(settings.token_file) if settings.token_file else b""
        self._context = context
        self._servers: list[grpc.aio.Server] = []
        self._runners: list[web.AppRunner] = []
        self.address = ""
        self.durabletask_address = ""
        self.http_address = ""
        self.dapr_http_address = ""

    async def start(self) -> None:
        """Open the store, then listen. Raises StoreRefused, StoreUnavailable, SettingsRefused (an address in use)."""
        await self.engine.start(durability=self.settings.durability)
        await self._listen()
        await self._listen_http()
        if self._caretakers is not None:
            self._tasks.start(self._caretakers.run(), name="caretakers")
        _log.info(
            "engine ready",
            listen=self.address,
            http=self.http_address,
            app=self.settings.runtime.app,
            version=self.settings.runtime.version,
            store=self.engine.info.description,
            durability=self.engine.info.durability,
            verified=self.engine.info.verified,
        )

    async def _listen(self) -> None:
        limit = self.settings.limits.message_bytes
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", limit),
            # Not bounded here: a whole history, with its payloads as text, may be a little longer than it was stored.
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            # Dapr's SDKs ping every 30 seconds, with no call open too; gRPC's defaults would end their long polls.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        engine, new_id = self.engine, self._context.new_id
        native = [WorkerService(engine).handler(), ManagementService(engine.commands, engine.describe).handler()]
        dapr = durabletask_service(engine, engine.commands, DAPR, new_id=new_id)
        self.address = await self._serve([*native, dapr], "--listen", self.settings.listen, options)
        if self.settings.listen_durabletask:
            microsoft = durabletask_service(engine, engine.commands, MICROSOFT, new_id=new_id)
            listen = self.settings.listen_durabletask
            self.durabletask_address = await self._serve([microsoft], "--listen-durabletask", listen, options)

    async def _serve(self, services: list[Service], option: str, listen: str, options: list[tuple[str, Any]]) -> str:
        """Listen with these services; returns the address, with the port that was taken."""
        interceptors = [TokenInterceptor(self._token)] if self._token else []
        server = new_server(services, interceptors=interceptors, options=options)
        try:
            port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise SettingsRefused(
                f"cannot listen on {option} {listen} ({error}); is another engine running? give another port"
            ) from error
        await server.start()
        self._servers.append(server)
        if not listen.startswith("unix:"):
            return f"{listen.rpartition(':')[0]}:{port}"
        share_socket(Path(listen.removeprefix("unix:")))
        return listen

    async def _listen_http(self) -> None:
        edge = HttpEdge(self.engine, token=self._token)
        self.http_address = await self._serve_http(edge.application(), "--http", self.settings.http)
        if self.settings.dapr_http:
            dapr = DaprHttpEdge(
                self.engine.commands,
                app=self.settings.runtime.app,
                token=self._token,
                max_bytes=self.settings.limits.payload_bytes,
                new_id=self._context.new_id,
            )
            application = dapr.application()
            self.dapr_http_address = await self._serve_http(application, "--dapr-http", self.settings.dapr_http)

    async def _serve_http(self, application: web.Application, option: str, listen: str) -> str:
        """Listen with this application; returns the address, with the port that was taken."""
        host, _, port = listen.rpartition(":")
        runner = web.AppRunner(application, access_log=None)
        self._runners.append(runner)
        await runner.setup()
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise SettingsRefused(f"cannot listen on {option} {listen} ({error}); give another port") from error
        bound = runner.addresses[0]
        return f"{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Drain, release the shards, close everything."""
        # Together: what caretakers take to end is not taken from the time in which this engine's work may end.
        await asyncio.gather(self._tasks.close(), self.engine.drain())
        await asyncio.gather(*(server.stop(0.2) for server in self._servers))
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        await self.engine.stop()
        await asyncio.to_thread(self._tracing.close)
        _log.info("engine stopped")


def share_socket(socket: Path) -> None:
    """Let the group of a socket's folder connect, if the folder passes its group on (setgid).

    So does a volume of a pod that has an `fsGroup`, where application and engine are different users. In any other
    folder the socket is its owner's alone.
    """
    if socket.parent.stat().st_mode & stat.S_ISGID:
        socket.chmod(0o660)


async def serve(settings: Settings, opened: Stores, *, faults: Faults, tracing: Tracing | None = None) -> None:
    """Run an engine until SIGTERM or SIGINT."""
    app = EngineApp(
        settings,
        opened.store,
        opened.leases,
        notifier=opened.notifier,
        more_leases=opened.more_leases,
        faults=faults,
        tracing=tracing,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await app.start()
    more = f", durabletask on {app.durabletask_address}" if app.durabletask_address else ""
    print(f"tenuto-engine listening on {app.address}{more}, http on {app.http_address}", flush=True)  # noqa: T201 - scripts read the port here
    await stop.wait()
    await app.stop()
