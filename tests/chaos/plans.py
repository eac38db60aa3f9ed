"""What clients do in a chaos run: short stories with a known end, each using some features, repeated while it lasts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos.callers import Caller, Gone, now_ms
from tenuto.client import WorkflowIdReusePolicy, WorkflowState, WorkflowStatus

_ENDED = {WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.TERMINATED}
_HARD_TO_STOP_S = 0.5
_NUDGE_S = 6.0
# Of the engine's estimate of the store's clock.
_CLOCK_ERROR_S = 0.05
# A little more than what the store may lose, for clocks and for what was under way.
_LOST_MS = 3_000


@dataclass
class Book:
    """What the plans of a run amounted to."""

    begun: Counter[str] = field(default_factory=Counter[str])
    ended: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    deaths_ms: list[int] = field(default_factory=list[int])
    open: set[str] = field(default_factory=set[str])


@dataclass
class Plan:
    """One story as it is told. `name` is unique in the run; all ids begin with it."""

    caller: Caller
    book: Book
    rng: random.Random
    name: str
    began_ms: int = field(default_factory=now_ms)

    @property
    def has_lost(self) -> bool:
        """Whether a store that may lose its last second died since the plan began: then nothing is certain."""
        return any(died >= self.began_ms - _LOST_MS for died in self.book.deaths_ms)

    def expect(self, what: str, *, found: Any, expected: Any) -> None:
        if found != expected and not self.has_lost:
            self.book.wrong.append(f"{self.name}: {what}: expected {expected!r}, found {found!r}")

    async def ended(self, instance_id: str, nudge: Callable[[], Awaitable[Any]] | None = None) -> WorkflowState:
        """Wait for an instance's end. `nudge`: what ends it, in case that an acknowledged one was lost with the store.

        Raises: Gone.
        """
        while True:
            state = await self.caller.wait(instance_id, seconds=None if nudge is None else _NUDGE_S)
            if state is not None:
                return state
            if nudge is not None and self.has_lost:
                await nudge()

    async def completed(self, instance_id: str, expected: Any) -> None:
        """Wait for an instance and expect its result."""
        state = await self.ended(instance_id, lambda: self.give_up(instance_id))
        self.expect(f"status of {instance_id}", found=state.runtime_status.name, expected="COMPLETED")
        if state.runtime_status is WorkflowStatus.COMPLETED:
            self.expect(f"result of {instance_id}", found=state.result(), expected=expected)

    async def give_up(self, instance_id: str) -> None:
        """After a loss, an instance may wait for another that is gone."""
        if self.has_lost:
            await self.caller.resume(instance_id)
            await self.caller.terminate(instance_id)


async def run_chain(plan: Plan) -> None:
    """A chain, run again from one of its calls, or its id used again, or purged."""
    count = plan.rng.randint(1, 8)
    await plan.caller.start("chain", plan.name, count)
    await plan.completed(plan.name, sum(range(count)))
    choice = plan.rng.random()
    if choice < 0.3:
        history = await plan.caller.ask(lambda c: c.get_workflow_history(plan.name))
        calls = [one.event_id for one in history if one.type == "ActivityScheduled" and one.event_id is not None]
        new_id = f"{plan.name}/again"
        while await plan.caller.rerun(plan.name, plan.rng.choice(calls), new_id) not in {"ok", "exists"}:
            pass
        await plan.completed(new_id, sum(range(count)))
    elif choice < 0.5:
        policy = WorkflowIdReusePolicy.REPLACE_TERMINAL
        await plan.caller.start("chain", plan.name, count + 1, reuse_id_policy=policy)
        state = await plan.ended(plan.name)
        # Where the first answer was lost, the second try may have replaced what the first one made.
        plan.expect("result", found=state.serialized_output, expected=str(sum(range(count + 1))))
    elif choice < 0.7:
        await plan.caller.purge(plan.name)


async def run_fan(plan: Plan) -> None:
    """Many calls at once; now and then very many."""
    count = plan.rng.choice([3, 10, 30, 30, 200])
    await plan.caller.start("fan", plan.name, count)
    await plan.completed(plan.name, sum(range(count)))


async def run_collect(plan: Plan) -> None:
    """Notes from two senders, over continue-as-new and suspensions: each acknowledged one once, and in order."""
    await plan.caller.start("collect", plan.name, [])
    acknowledged: dict[str, list[int]] = {}

    async def send(sender: str, count: int) -> None:
        acknowledged[sender] = []
        for number in range(count):
            outcome = await plan.caller.event(
                plan.name, "note", {"sender": sender, "number": number}, sender=sender, number=number
            )
            if outcome == "ok":
                acknowledged[sender].append(number)

    async def interrupt() -> None:
        for _ in range(plan.rng.randint(0, 2)):
            await plan.caller.suspend(plan.name)
            await plan.caller.resume(plan.name)

    await asyncio.gather(send("ann", plan.rng.randint(1, 8)), send("bob", plan.rng.randint(1, 8)), interrupt())

    async def stop() -> None:
        while await plan.caller.resume(plan.name) == "unknown":
            pass
        while await plan.caller.event(plan.name, "note", "stop") == "unknown":
            pass

    await stop()
    state = await plan.ended(plan.name, stop)
    plan.expect("status", found=state.runtime_status.name, expected="COMPLETED")
    taken: list[Any] = state.result() if state.runtime_status is WorkflowStatus.COMPLETED else []
    for sender, numbers in acknowledged.items():
        found = [one["number"] for one in taken if one["sender"] == sender]
        plan.expect(f"order of {sender}", found=found, expected=sorted(set(found)))
        plan.expect(f"missing of {sender}", found=sorted(set(numbers) - set(found)), expected=[])


async def run_waits(plan: Plan) -> None:
    """Timers, a race, timeouts, and a call that hangs once."""
    rounds = plan.rng.randint(1, 3)
    await plan.caller.start("waits", plan.name, rounds)
    seen = [value for number in range(rounds) for value in (True, number, "timeout")]
    await plan.completed(plan.name, [*seen, "late"])


async def run_family(plan: Plan) -> None:
    """Children, a failing one, and their children; purged as a tree."""
    depth = plan.rng.randint(0, 2)
    await plan.caller.start("family", plan.name, depth)
    result: list[Any] = [1, 6, "failed"]
    for _ in range(depth):
        result = [1, 6, "failed", result]
    await plan.completed(plan.name, result)
    if plan.rng.random() < 0.5:
        await plan.caller.purge(plan.name)


async def run_tree(plan: Plan) -> None:
    """A tree that is terminated, whatever its children do just then; they end with it."""
    await plan.caller.start("tree", plan.name)
    await asyncio.sleep(plan.rng.random() * _HARD_TO_STOP_S)

    async def stop() -> None:
        while await plan.caller.terminate(plan.name) == "unknown":
            pass

    await stop()
    state = await plan.ended(plan.name, stop)
    plan.expect("status", found=state.runtime_status.name, expected="TERMINATED")


async def run_exchange(plan: Plan) -> None:
    """Two instances that send to one another."""
    other = f"{plan.name}/pong"
    await plan.caller.start("pong", other)
    await plan.caller.start("ping", plan.name, other)
    await plan.completed(plan.name, f"from {other}")
    await plan.completed(other, plan.name)


async def run_later(plan: Plan) -> None:
    """A start in the near future; suspended and resumed before it, or not."""
    start_at = datetime.now(UTC) + timedelta(seconds=plan.rng.uniform(0.2, 3))
    await plan.caller.start("chain", plan.name, 3, start_at=start_at)
    if plan.rng.random() < 0.5:
        await plan.caller.suspend(plan.name)
        while await plan.caller.resume(plan.name) == "unknown":
            pass
    await plan.completed(plan.name, 3)
    state = await plan.caller.state(plan.name)
    if state is not None and state.completed_at is not None:
        early_s = (start_at - state.completed_at).total_seconds()
        plan.expect("ended early by seconds", found=max(0.0, early_s - _CLOCK_ERROR_S), expected=0.0)


STORIES: dict[str, tuple[int, Callable[[Plan], Awaitable[None]]]] = {
    "chain": (4, run_chain),
    "fan": (2, run_fan),
    "collect": (3, run_collect),
    "waits": (2, run_waits),
    "family": (2, run_family),
    "tree": (2, run_tree),
    "exchange": (2, run_exchange),
    "later": (1, run_later),
}


async def tell(plan: Plan, story: str) -> None:
    """Run one plan to its end, and note how it ended."""
    plan.book.begun[story] += 1
    plan.book.open.add(plan.name)
    try:
        await STORIES[story][1](plan)
    except Gone as gone:
        plan.expect("there", found=str(gone), expected="")
    plan.book.open.discard(plan.name)
    plan.book.ended[story] += 1


async def keep_telling(make: Callable[[str], Plan], rng: random.Random, is_over: Callable[[], bool]) -> None:
    """Tell one story after the other until the run is over."""
    names = list(STORIES)
    weights = [weight for weight, _ in STORIES.values()]
    while not is_over():
        (story,) = rng.choices(names, weights)
        await tell(make(story), story)
