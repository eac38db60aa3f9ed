"""Real engines for tests: as a process that may be killed, and inside the test's own loop for speed."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import msgspec

from tenuto_engine.app import EngineApp
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.notifier import Notifier
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.tracing import Tracing
from tenuto_engine.settings import Settings, build
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore
from tenuto_engine.storage.urls import Stores

BIN = Path(sys.executable).parent
START_SECONDS = 60  # until something is certainly wrong; an engine takes about half a second


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name: a socket's path must fit into 108 bytes."""
    with TemporaryDirectory(prefix="tenuto-") as folder:
        yield Path(folder)


class EngineProcess:
    """One `tenuto-engine`, as a context manager; it may be killed and started again at the same address.

    Args:
        folder: where its socket and its log are; a short path, for a socket's must fit into 108 bytes.
        options: further command-line words.
        store: its state store.
        listen: its address; None: a socket in the folder.
    """

    def __init__(self, folder: Path, *options: str, store: str = "memory:", listen: str | None = None) -> None:
        self.address = listen or f"unix:{folder}/engine.sock"
        self.log = folder / "engine.log"
        self.http = ""
        self._command = [str(BIN / "tenuto-engine"), "--state-store", store, "--listen", self.address]
        self._command += ["--http", "127.0.0.1:0", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of programs that are to find this engine, and nothing of another."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TENUTO_")}
        return kept | {"TENUTO_ENGINE": self.address, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}

    def start(self, **variables: str) -> None:
        """Start and wait until it says that it listens. `variables`: added to its environment."""
        assert self._process is None, "the engine runs already"
        with self.log.open("ab") as log:
            environment = self.environment | variables
            self._process = subprocess.Popen(self._command, env=environment, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            said = self._process.stdout.readline() if selector.select(START_SECONDS) else b""
        if not said:
            self.stop()
        assert said, f"the engine did not start:\n{self.log.read_text()}"
        self.http = said.decode().rpartition(" ")[2].strip()

    def wait_for_death(self) -> int:
        """Wait until the process ends by itself, or by a fault point; returns its exit code."""
        process = self._process
        assert process is not None, "the engine does not run"
        code = process.wait()
        self._process = None
        assert process.stdout is not None
        process.stdout.close()
        return code

    def kill(self) -> None:
        """End the process as a power cut would."""
        assert self._process is not None, "the engine does not run"
        self._process.send_signal(signal.SIGKILL)
        self.wait_for_death()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP or SIGTERM."""
        assert self._process is not None, "the engine does not run"
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the engine does not run"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it in order, or by force if it takes too long; without effect where it does not run."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()
            self.wait_for_death()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def make_settings(
    *, limits: dict[str, Any] | None = None, runtime: dict[str, Any] | None = None, **given: str
) -> Settings:
    """Settings as the command line would give them, on a free port, with single limits and runtime settings changed."""
    settings = build({"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "state_store": "memory:", "shards": "4", **given})
    return msgspec.structs.replace(
        settings,
        limits=msgspec.structs.replace(settings.limits, **(limits or {})),
        runtime=msgspec.structs.replace(settings.runtime, **(runtime or {})),
    )


class EngineHere:
    """An engine in this process, on the running loop, as an asynchronous context manager.

    Leaving it checks that it left no task behind. Its store outlives it, so that it can be started again.

    Args:
        settings: see `make_settings`; None: the memory store on a free port.
        stores: store and lease store; None: fresh ones in memory.
        notifier: news between engines of one app; None: this engine hears nothing.
        more_leases: as of `EngineApp`.
        tracing: where spans go; None: nowhere.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        stores: tuple[Store, LeaseStore] | None = None,
        notifier: Notifier | None = None,
        more_leases: Callable[[], LeaseStore] | None = None,
        *,
        tracing: Tracing | None = None,
    ) -> None:
        self.settings = settings or make_settings()
        self._state = MemoryState()
        self._stores = stores
        self._notifier = notifier
        self._more_leases = more_leases
        self._tracing = tracing
        self._tasks_before: set[asyncio.Task[Any]] = set()
        self.app: EngineApp

    @classmethod
    def on(cls, settings: Settings, stores: Stores) -> Self:
        """An engine on everything that a store's URL means."""
        return cls(settings, (stores.store, stores.leases), stores.notifier, stores.more_leases)

    @property
    def store(self) -> Store:
        """What the engine stands on, to look at."""
        return self.app.engine._store

    @property
    def address(self) -> str:
        return self.app.address

    @property
    def http(self) -> str:
        return f"http://{self.app.http_address}"

    async def __aenter__(self) -> Self:
        self._tasks_before = asyncio.all_tasks()
        state = self._state
        store, leases = self._stores or (
            MemoryStore(state=state, app=self.settings.runtime.app),
            MemoryLeaseStore(state=state),
        )
        self.app = EngineApp(
            self.settings,
            store,
            leases,
            notifier=self._notifier,
            more_leases=self._more_leases,
            tracing=self._tracing,
        )
        await self.app.start()
        # The same address after a restart, so that workers and clients find it again.
        self.settings = msgspec.structs.replace(self.settings, listen=self.app.address)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.app.stop()
        own = {task for task in asyncio.all_tasks() - self._tasks_before if "tenuto_engine" in repr(task.get_coro())}
        assert not own, f"the engine left tasks behind: {own}"
