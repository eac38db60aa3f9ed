"""Three engines with their apps, one store, and a wire between any two of them: what faults happen to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

from chaos import chaos_app
from chaos.stores import ChaosStore
from chaos.wires import Place, Wire
from engines import EngineProcess

_STOP_S = 30.0
_FENCED = re.compile(r"^tenuto_(?:state_)?fenced_writes_total(?:\{[^}]*\})? ([0-9.e+]+)", re.MULTILINE)


class Pair:
    """One engine and its app, each reached by a wire of its own."""

    def __init__(self, folder: Path, store: ChaosStore, ledger: Path, *, engine_options: list[str]) -> None:
        folder.mkdir()
        self.folder = folder
        self._store = store
        self._ledger = ledger
        self._options = engine_options
        self.to_store: Wire
        self.to_app = Wire(Place(path=f"{folder}/app.sock"), Place(path=f"{folder}/engine.sock"))
        self.engine: EngineProcess
        self._app: subprocess.Popen[bytes] | None = None
        self.busy = asyncio.Lock()
        self.fenced = 0.0
        self.stuck: list[str] = []
        self._fenced_before = 0.0

    async def start(self) -> None:
        self.to_store = Wire(self._store.way_in(self.folder), self._store.place)
        await self.to_store.start()
        await self.to_app.start()
        url = self._store.url_at(self.to_store.place)
        self.engine = EngineProcess(self.folder, *self._options, store=url)
        await self.start_engine()
        self.start_app()

    async def start_engine(self) -> None:
        """Start the engine; one that finds no store ends, and is started again as kubelet would."""
        while True:
            try:
                await asyncio.to_thread(self.engine.start)
                return
            except AssertionError:
                await asyncio.sleep(0.2)

    def start_app(self) -> None:
        environment = self.engine.environment | {
            "CHAOS_LEDGER": str(self._ledger),
            "TENUTO_ENGINE": f"unix:{self.to_app.listen.path}",
        }
        with (self.folder / "app.log").open("ab") as log:
            command = [sys.executable, chaos_app.__file__]
            self._app = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def app(self) -> subprocess.Popen[bytes]:
        assert self._app is not None, "the application does not run"
        return self._app

    def kill_app(self) -> None:
        self.app.kill()
        self.app.wait()
        self._app = None

    def pause_app(self) -> None:
        self.app.send_signal(signal.SIGSTOP)

    def pause_engine(self) -> None:
        self.engine.signal(signal.SIGSTOP)

    def kill_engine(self) -> None:
        self._keep_count()
        self.engine.kill()

    async def drain_engine(self) -> None:
        """End the engine as an eviction does, and wait until it is gone."""
        await self.count_fenced()
        self.engine.signal(signal.SIGTERM)
        await asyncio.to_thread(self.engine.wait_for_death)
        self._keep_count()

    def _keep_count(self) -> None:
        """The counter of a process goes with it."""
        self._fenced_before = self.fenced

    async def count_fenced(self) -> None:
        """Take the engine's own count of refused writes, if it answers."""
        with contextlib.suppress(OSError, AssertionError):
            text = await asyncio.to_thread(_read, f"http://{self.engine.http}/metrics")
            counted = sum(float(found[1]) for found in _FENCED.finditer(text))
            self.fenced = max(self.fenced, self._fenced_before + counted)

    async def heal(self) -> None:
        """End what may be wrong with wires and processes, and start what is dead."""
        self.to_store.heal()
        self.to_app.heal()
        if self.engine.is_alive:
            self.engine.signal(signal.SIGCONT)
        else:
            self.engine.stop()
            await self.start_engine()
        if self._app is None or self._app.poll() is not None:
            self.start_app()
        self.app.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        if self._app is not None:
            self._app.send_signal(signal.SIGCONT)
            self._app.terminate()
            try:
                await asyncio.to_thread(self._app.wait, _STOP_S)
            finally:
                self._app.kill()
                self._app.wait()
        with contextlib.suppress(AssertionError):
            self.engine.signal(signal.SIGCONT)
        await self._stop_engine()
        await self.to_app.close()
        await self.to_store.close()

    async def _stop_engine(self) -> None:
        """End the engine in order; one that takes far longer than its drain time is a fault, and is ended by force."""
        if not self.engine.is_alive:
            self.engine.stop()
            return
        self.engine.signal(signal.SIGTERM)
        waiting = asyncio.create_task(asyncio.to_thread(self.engine.wait_for_death))
        done, _ = await asyncio.wait([waiting], timeout=_STOP_S)
        if not done:
            self.stuck.append(f"{self.folder.name}: the engine did not stop within {_STOP_S:g} s of SIGTERM")
            self.engine.signal(signal.SIGUSR2)
            await asyncio.sleep(2)
            self.engine.signal(signal.SIGKILL)
            await waiting


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=1) as answer:
        text: bytes = answer.read()
    return text.decode()


class Cluster:
    """All pairs and the store.

    Args:
        folder: a short path of its own.
        store: the state store, not started yet.
        count: pairs.
        lease_s: of shards; seconds.
        shards: of the app.
    """

    def __init__(
        self, folder: Path, store: ChaosStore, *, count: int = 3, lease_s: float = 2.0, shards: int = 16
    ) -> None:
        self.store = store
        self.lease_s = lease_s
        self.shards = shards
        self.ledger = folder / "ledger"
        options = ["--shards", str(shards), "--lease-seconds", f"{lease_s:g}", "--durability", store.durability]
        options += ["--drain-seconds", "2", "--turn-timeout", "5", "--log-format", "json"]
        self.pairs = [Pair(folder / f"p{i}", store, self.ledger, engine_options=options) for i in range(count)]

    async def start(self) -> None:
        self.ledger.touch()
        await asyncio.to_thread(self.store.start)
        await asyncio.gather(*(pair.start() for pair in self.pairs))

    async def stop_pairs(self) -> None:
        await asyncio.gather(*(pair.stop() for pair in self.pairs))

    async def heal(self) -> None:
        await asyncio.to_thread(self.store.heal)
        await asyncio.gather(*(pair.heal() for pair in self.pairs))

    async def fenced(self) -> int:
        await asyncio.gather(*(pair.count_fenced() for pair in self.pairs))
        return int(sum(pair.fenced for pair in self.pairs))

    def said(self) -> Counter[str]:
        """How often the engines warned of what, and where an error came from."""
        texts: Counter[str] = Counter()
        for pair in self.pairs:
            for line in pair.engine.log.read_text(errors="replace").splitlines():
                try:
                    told = json.loads(line)
                except ValueError:
                    texts[f"not a log line: {line[:200]}"] += 1
                    continue
                if told.get("level") not in {"debug", "info"}:
                    cause = " | ".join(told.get("exception", "").strip().splitlines()[-3:])
                    texts[f"{told.get('level')}: {told.get('event')} {told.get('task', '')} {cause}".strip()] += 1
        return texts


def machine() -> str:
    """What the run ran on, for its report."""
    return f"{os.cpu_count()} cores, {os.uname().sysname} {os.uname().release}, Python {sys.version.split()[0]}"
