"""The spill list: calls that are for any engine with a free worker, told as hints.

A hint is never the only copy: the entry is, and its owner tells of it again. Whoever takes a hint claims the entry
first, and drops the hint if the call is closed, claimed or not yet due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.records import Hint
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.calls import Calls
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.ledger import Ledger
from tenuto_engine.runtime.nudges import News, spill_topic
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.workers import Workers, WorkerSession

# Hints taken at once. More would only hold back other engines while these are being claimed.
_MOST = 256


class Spill:
    """Tells other engines of calls, and takes calls for the workers of this one."""

    def __init__(
        self, context: Context, store: Store, tasks: TaskOwner, *, workers: Workers, ledger: Ledger, calls: Calls
    ) -> None:
        self._context = context
        self._version = context.settings.version
        self._store = store
        self._tasks = tasks
        self._workers = workers
        self._ledger = ledger
        self._calls = calls
        self.cancelled: Callable[[News], None]
        self._turn = 0
        self._taking = False
        self._again = False
        # The last take found as much as it asked for: there may be more once a slot is free.
        self.may_hold_more = False

    def listen(self) -> None:
        """Hear of calls that other engines spill."""
        self._context.nudges.on(spill_topic(self._version), self._heard)

    def _heard(self, news: News) -> None:
        if news.spilled:
            self._workers.hear_of(news.names)
            self.take()
        self.cancelled(news)

    # -- telling --------------------------------------------------------------------------------------------------

    def tell(self, calls: Sequence[Call]) -> None:
        """Offer unclaimed calls to all engines, this one included."""
        hints = [Hint(call.body.name, call.key) for call in calls]
        self._tasks.start(self._push(hints), name="spill")

    async def _push(self, hints: Sequence[Hint]) -> None:
        try:
            await self._store.push_hints(self._version, hints)
        except StoreUnavailable:
            return  # told again after a while
        names = sorted({hint.name for hint in hints})
        self._context.nudges.say(spill_topic(self._version), spilled=True, names=names)
        self._workers.hear_of(names)
        self.take()

    # -- taking ---------------------------------------------------------------------------------------------------

    def slot_freed(self, session: WorkerSession) -> None:
        """A worker has answered: take more once a quarter of its slots are free, not one by one."""
        if 4 * (session.max_activities - len(session.runs)) >= session.max_activities:
            self.take()

    def take(self, *, few: bool = False) -> None:
        """Take hints for the free slots of this engine's workers, unless that is under way.

        `few`: also where most slots are taken; else it waits until a quarter is free.
        """
        if self._taking:
            self._again = True
            return
        names, free = self._workers.wanted()
        if not names or not free or self._calls.is_leaving or not self._context.may_act():
            return  # a claim by an engine that may be no member any more would hold for nobody
        if not few and 4 * free < self._workers.activity_slots:
            self.may_hold_more = True
            return
        # Another name first each time, so that no activity starves behind a busier one.
        self._turn = (self._turn + 1) % len(names)
        self._taking = True
        self._tasks.start(self._take([*names[self._turn :], *names[: self._turn]], min(free, _MOST)), name="take")

    async def _take(self, names: Sequence[str], limit: int) -> None:
        self._again = False
        try:
            hints = await self._store.take_hints(self._version, names, limit=limit)
            self.may_hold_more = len(hints) >= limit
            if hints:
                await self._claim(hints)
        except StoreUnavailable:
            # Those taken are told again by their owners; asking at once would ask without pause.
            self._again = self.may_hold_more = False
        finally:
            self._taking = False
        if self._again or self.may_hold_more:
            self.take()

    async def _claim(self, hints: Sequence[Hint]) -> None:
        """Claim the calls that are open and nobody's, and run them."""
        keys = list(dict.fromkeys(hint.key for hint in hints))
        now_ms = self._context.clock.now_ms()
        free: list[Call] = []
        for entry in await self._ledger.read_steadily(keys):
            if entry is None or entry[1].claim or entry[1].due_at_ms > now_ms:
                continue
            call = self._calls.call_of(*entry)
            if not call.body.claim and not call.writing:
                free.append(call)
        ready = await self._ledger.load_payloads(free)
        if not ready:
            return
        decided = asyncio.Event()
        left = len(ready)

        def then() -> None:
            nonlocal left
            left -= 1
            if not left:
                decided.set()

        for call in ready:
            self._calls.claim(call, then)
        # What is being claimed takes no slot yet: asking for more before it does would ask for too much.
        await decided.wait()
