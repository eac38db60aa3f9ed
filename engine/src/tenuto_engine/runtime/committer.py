"""Group commit: operations that are ready while a group is under way leave together in the next one.

There is no waiting for company: a lone operation leaves at once, a busy engine fills its groups by itself. Shards are
dealt out to a few lanes, each with one group in flight: operations of one shard take effect in the order in which they
were submitted, and the store works on one lane's group while the answers of another are being digested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    FireReminder,
    Operation,
    Purge,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.metrics import Metrics

_log = structlog.get_logger(__name__)

OnOutcome = Callable[[Outcome], None]

# A group's bound. More does not go faster (measured: flat from 64 on), and delays the first answers of the group.
MAX_GROUP = 256
# Groups under way at once.
LANES = 2
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0

_POINT_OF: dict[type, str] = {
    Create: "create",
    Append: "append",
    Commit: "commit",
    FireReminder: "reminder",
    Deliver: "deliver",
    Purge: "purge",
    ReplaceActivity: "append",
}


class _Lane:
    """The operations of some shards that wait for their next group."""

    __slots__ = ("pending", "wake")

    def __init__(self) -> None:
        self.pending: list[tuple[Operation, OnOutcome]] = []
        self.wake = asyncio.Event()


class Committer:
    """Executes operations in groups and answers each through its callback, on the event loop.

    Callbacks must not raise; one that does is logged, and the others are still called.
    """

    def __init__(self, store: Store, *, metrics: Metrics, faults: Faults, monotonic_ns: Callable[[], int]) -> None:
        self._store = store
        self._monotonic_ns = monotonic_ns
        self._metrics = metrics
        self._faults = faults
        self._lanes = [_Lane() for _ in range(LANES)]
        self._incarnation = ""
        self.on_new_store: Callable[[], None]
        self.trace_of: Callable[[Sequence[Operation]], str] = lambda _operations: ""
        self.on_executed: Callable[[Sequence[Operation], Sequence[Outcome]], None] = lambda _operations, _outcomes: None

    def submit(self, operation: Operation, on_outcome: OnOutcome) -> None:
        """Queue an operation for the next group."""
        lane = self._lanes[operation.shard % LANES]
        lane.pending.append((operation, on_outcome))
        lane.wake.set()

    def submit_until_answered(self, operation: Operation, on_outcome: OnOutcome) -> None:
        """Queue an operation and repeat it, with growing pauses, while the store does not answer.

        Only for operations that may happen twice: those whose second execution is answered and changes nothing.
        """
        pause = _FIRST_PAUSE_SECONDS

        def answered(outcome: Outcome) -> None:
            nonlocal pause
            if isinstance(outcome, Rejected | Unconfirmed):
                asyncio.get_running_loop().call_later(pause, self.submit, operation, answered)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                return
            on_outcome(outcome)

        self.submit(operation, answered)

    async def execute(self, operation: Operation) -> Outcome:
        """Queue an operation and wait for its outcome."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.submit(operation, lambda outcome: None if future.done() else future.set_result(outcome))
        return await future

    async def run(self) -> None:
        """Execute groups until cancelled. The store is open."""
        self._incarnation = self._store.incarnation()
        async with asyncio.TaskGroup() as owner:
            for number, lane in enumerate(self._lanes):
                owner.create_task(self._run_lane(lane), name=f"committer-{number}")

    async def _run_lane(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            while lane.pending:
                # One more turn of the loop: what has already arrived joins this group instead of waiting for the next.
                await asyncio.sleep(0)
                await self._execute_group(lane)

    async def _execute_group(self, lane: _Lane) -> None:
        group = lane.pending[:MAX_GROUP]
        del lane.pending[:MAX_GROUP]
        operations = [operation for operation, _ in group]
        if self._faults.armed:
            self._reach(operations, "before")
        began_ns = self._monotonic_ns()
        outcomes = await self._execute(operations)
        seconds = (self._monotonic_ns() - began_ns) / 1e9
        if self._faults.armed:
            self._reach(operations, "after")
        try:
            self._tell(operations, outcomes, seconds)
        except Exception:  # instances wait for the answers below, whatever became of counting and nudging
            _log.exception("a group that was executed could not be told of", operations=len(operations))
        for (_, on_outcome), outcome in zip(group, outcomes, strict=True):
            try:
                on_outcome(outcome)
            except Exception:  # an answer's error belongs to one instance; the group's other answers still count
                _log.exception("an answer of the store could not be processed")

    async def _execute(self, operations: list[Operation]) -> list[Outcome]:
        outcomes: list[Outcome]
        try:
            outcomes = await self._store.execute(operations)
        except Exception as error:  # a driver's fault must not end the loop: then nothing would ever be stored again
            _log.exception("the store failed unexpectedly", operations=len(operations))
            outcomes = [Unconfirmed(f"the store's driver failed: {error!r}")] * len(operations)
        return outcomes

    def _tell(self, operations: list[Operation], outcomes: list[Outcome], seconds: float) -> None:
        """Tell who is concerned beside those that asked, before these go on."""
        incarnation = self._store.incarnation()
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self.on_new_store()
        self._metrics.group_done(operations, outcomes, seconds=seconds, trace_id=self.trace_of(operations))
        self.on_executed(operations, outcomes)

    def _reach(self, operations: list[Operation], when: str) -> None:
        for operation in operations:
            point = _POINT_OF.get(type(operation))
            if point is not None:
                self._faults.reach(f"{point}:{when}")
