"""One chaos run: load, faults, healing, and the judgement of store, client log and ledger.

The order is: everything works; clients tell stories while faults happen; faults end and everything is healed; all
stories come to their end within bounded time; nothing is open or on its way any more; then `tenuto verify` reads the
whole store with both logs. What is wrong at any step is in the report, and nothing is left out of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.callers import Caller, ClientLog, make_clients, now_ms
from chaos.cluster import Cluster, Pair, machine
from chaos.faults import Fault, make_schedule
from chaos.plans import Book, Plan, keep_telling
from chaos.stale import StaleWriter
from chaos.stores import make_store
from tenuto import aio
from tenuto.client import WorkflowStatus
from tenuto.errors import TenutoError
from tenuto_engine.ports.errors import EngineError
from tenuto_engine.storage.urls import open_audit
from tenuto_engine.verify import run as checker

# Until something is certainly wrong. Leases of two seconds, retries of a second and back-off fit many times.
ENDING_S = 120.0
SETTLING_S = 60.0
LOST_S = 1.5
_STALE_PAUSE_S = 1.0


@dataclass(frozen=True)
class Wishes:
    """What kind of run. `load`: stories told at once. `is_lossy`: D1, the store may lose its last second."""

    seed: int
    seconds: float
    store: str = "redis"
    is_lossy: bool = False
    load: int = 12
    lease_s: float = 2.0
    pace_s: float = 2.5


@dataclass
class Chaos:
    """One run.

    Args:
        folder: a short path of its own; logs stay there.
        wishes: what kind.
    """

    folder: Path
    wishes: Wishes
    book: Book = field(default_factory=Book)
    happened: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    _is_over: bool = False
    _number: int = 0

    def __post_init__(self) -> None:
        store = make_store(self.wishes.store, self.folder / "store", is_lossy=self.wishes.is_lossy)
        self.cluster = Cluster(self.folder, store, lease_s=self.wishes.lease_s)
        self.log = ClientLog(self.folder / "clients")
        self._faults_log = (self.folder / "faults").open("a", buffering=1)
        self._store_busy = asyncio.Lock()
        self.stale = StaleWriter(store.url, self.cluster.shards, store.durability)

    async def run(self) -> dict[str, Any]:
        """Run it all; answers the report, whose `wrong` is empty if all is well."""
        began = time.monotonic()
        await self.cluster.start()
        try:
            await self._load_and_faults()
            settled = await self._settle()
            fenced = await self.cluster.fenced()
        finally:
            await self.cluster.stop_pairs()
        verdict = await asyncio.to_thread(self._verify)
        await asyncio.to_thread(self.cluster.store.stop)
        self.log.close()
        self._faults_log.close()
        self.wrong += [text for pair in self.cluster.pairs for text in pair.stuck]
        self.wrong += self.stale.wrong
        if self.wishes.seconds >= 30 and not self.stale.refused:
            self.wrong.append("no stale write was tried: fencing was not tested")
        return {
            "ok": not (self.wrong or self.book.wrong or verdict["findings"]),
            "seed": self.wishes.seed,
            "seconds": self.wishes.seconds,
            "store": f"{self.wishes.store} {self.cluster.store.durability}",
            "machine": machine(),
            "took_s": round(time.monotonic() - began, 1),
            "stories": dict(self.book.ended),
            "commands": dict(sorted(self.log.counts.items())),
            "faults": dict(sorted(self.happened.items())),
            "fenced_writes": {"engines": fenced, "stale writer": self.stale.refused},
            "settled_after_s": settled,
            "verify": verdict["counts"],
            "unsettled": verdict["unsettled"],
            "wrong": [*self.wrong, *self.book.wrong],
            "findings": verdict["findings"],
            "said": dict(self.cluster.said().most_common(40)),
        }

    # -- load -----------------------------------------------------------------------------------------------------

    async def _load_and_faults(self) -> None:
        clients = make_clients([f"unix:{pair.to_app.listen.path}" for pair in self.cluster.pairs])
        rng = random.Random(self.wishes.seed)

        def plan(story: str) -> Plan:
            self._number += 1
            own = random.Random(rng.random())
            return Plan(Caller(clients, self.log, own), self.book, own, f"{story}-{self._number}")

        try:
            tellers = [
                asyncio.create_task(keep_telling(plan, random.Random(rng.random()), lambda: self._is_over))
                for _ in range(self.wishes.load)
            ]
            writer = asyncio.create_task(self._write_stale())
            await self._inject()
            self._is_over = True
            await writer
            await self.cluster.heal()
            resumer = asyncio.create_task(self._resume_stalled(clients))
            _, late = await asyncio.wait(tellers, timeout=ENDING_S)
            resumer.cancel()
            for task in late:
                task.cancel()
            await asyncio.gather(*tellers, resumer, return_exceptions=True)
            if late:
                self.wrong += [f"not ended {ENDING_S:g} s after healing: {name}" for name in sorted(self.book.open)]
            self.wrong += [
                f"a story broke: {task.exception()!r}" for task in tellers if not task.cancelled() and task.exception()
            ]
        finally:
            for client in clients:
                await client.close()

    async def _write_stale(self) -> None:
        """Try, while faults happen, what former owners might."""
        while not self._is_over:
            await self.stale.look_and_write()
            await asyncio.sleep(_STALE_PAUSE_S)
        await self.stale.close()

    async def _resume_stalled(self, clients: list[aio.WorkflowClient]) -> None:
        """Resume what stalled because its worker was killed five times in a row: that is what an operator does."""
        while True:
            try:
                page = await clients[0].list_workflows(statuses=[WorkflowStatus.STALLED])
                for state in page.workflows:
                    self.happened["resumed a stalled instance"] += 1
                    await clients[0].resume_workflow(state.instance_id)
            except TenutoError:
                pass
            await asyncio.sleep(1)

    # -- faults ---------------------------------------------------------------------------------------------------

    async def _inject(self) -> None:
        wishes = self.wishes
        schedule = make_schedule(
            wishes.seed,
            seconds=wishes.seconds,
            pairs=len(self.cluster.pairs),
            lease_s=wishes.lease_s,
            is_lossy=wishes.is_lossy,
            pace_s=wishes.pace_s,
        )
        began = time.monotonic()
        async with asyncio.TaskGroup() as running:
            for fault in schedule:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                running.create_task(self._happen(fault))
                await self.cluster.fenced()
            await asyncio.sleep(max(0.0, began + wishes.seconds - time.monotonic()))

    async def _happen(self, fault: Fault) -> None:
        busy = self._store_busy if fault.target < 0 else self.cluster.pairs[fault.target].busy
        async with busy:
            self._note(fault, "begins")
            self.happened[fault.kind] += 1
            if fault.target >= 0:
                await self._happen_to_pair(fault, self.cluster.pairs[fault.target])
            else:
                await self._happen_to_store(fault)
            self._note(fault, "ends")

    def _note(self, fault: Fault, what: str) -> None:
        line = {"at_ms": now_ms(), "fault": fault.kind, "target": fault.target, "seconds": fault.seconds, "what": what}
        self._faults_log.write(json.dumps(line) + "\n")

    async def _happen_to_pair(self, fault: Fault, pair: Pair) -> None:
        match fault.kind:
            case "kill-engine":
                pair.kill_engine()
            case "kill-app":
                pair.kill_app()
            case "kill-both":
                pair.kill_app()
                pair.kill_engine()
            case "pause-engine":
                pair.pause_engine()
            case "pause-app":
                pair.pause_app()
            case "drain":
                await pair.drain_engine()
            case "cut-store":
                pair.to_store.is_cut = True
                pair.to_store.break_all()
            case "cut-app":
                pair.to_app.is_cut = True
                pair.to_app.break_all()
            case "delay-store":
                pair.to_store.delay_s = 0.03
            case "block-to-store":
                pair.to_store.blocks_up = True
            case "block-from-store":
                pair.to_store.blocks_down = True
            case "block-to-app":
                pair.to_app.blocks_down = True
            case "block-from-app":
                pair.to_app.blocks_up = True
            case "lose-replies":
                pair.to_store.loses_replies = True
            case _:
                raise AssertionError(f"unknown fault {fault.kind}")
        await asyncio.sleep(fault.seconds)
        await pair.heal()

    async def _happen_to_store(self, fault: Fault) -> None:
        store = self.cluster.store
        match fault.kind:
            case "restart-store":
                await asyncio.to_thread(store.restart)
            case "kill-store":
                await asyncio.to_thread(store.kill)
            case "lose-second":
                await asyncio.to_thread(store.lose_second)
                self.book.deaths_ms.append(now_ms())
                self.log.write("store-died")
            case "pause-store":
                store.pause()
            case "flush-scripts":
                await asyncio.to_thread(store.flush_scripts)
            case "rollout":
                for pair in self.cluster.pairs:
                    async with pair.busy:
                        await pair.drain_engine()
                        await pair.heal()
                return
            case _:
                raise AssertionError(f"unknown fault {fault.kind}")
        await asyncio.sleep(fault.seconds / 2)
        await asyncio.to_thread(store.heal)

    # -- judging --------------------------------------------------------------------------------------------------

    async def _settle(self) -> float:
        """Wait until nothing is open or on its way; answers how long that took, or what is left is wrong."""
        began = time.monotonic()
        left: list[str] = []
        while time.monotonic() - began < SETTLING_S:
            try:
                audit = open_audit(self.cluster.store.url, app="default", key_prefix="tenuto")
                report = await checker.verify(audit, checker.Plan(settled=True, pauses_seconds=(0.2, 0.2)))
            except EngineError as error:
                left = [f"the store cannot be read: {error}"]
                await asyncio.sleep(1)
                continue
            if not report.findings:
                return round(time.monotonic() - began, 1)
            left = [f"{each.subject}: {each.rule}: {each.found}" for each in report.findings]
            await asyncio.sleep(1)
        self.wrong += [f"not settled {SETTLING_S:g} s after all stories ended: {text}" for text in left[:20]]
        return round(time.monotonic() - began, 1)

    def _verify(self) -> dict[str, Any]:
        """Run the command that users have, on the stopped cluster's store with both logs."""
        command = [sys.executable, "-m", "tenuto_engine.verify", "--state-store", self.cluster.store.url]
        command += ["--client-log", str(self.log.path), "--ledger", str(self.cluster.ledger), "--output", "json"]
        command += ["--lost-seconds", f"{LOST_S:g}"] if self.wishes.is_lossy else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode > 1:
            self.wrong.append(f"verify could not read: {done.stderr.strip()}")
            return {"findings": [], "counts": {}, "unsettled": 0}
        told: dict[str, Any] = json.loads(done.stdout)
        return told
