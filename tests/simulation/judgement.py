"""The judgement at the end: everything has ended, every promise was kept, nothing is left over."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from simulation.clients import Promise
from simulation.folds import Violation
from simulation.network import result_of
from simulation.watch import Life
from simulation.workloads import MOST_ATTEMPTS, STOP, expected
from tenuto_engine.core import events as e
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.runtime.turn_commit import RETENTION_REMINDER
from tenuto_engine.storage.memory import MemoryAudit
from tenuto_engine.verify.run import Plan, verify

if TYPE_CHECKING:
    from simulation.world import World

# Faults that make the clocks of engines run otherwise than the truth.
_CLOCKS = frozenset({"store_clock", "rate", "pause", "stuck", "store_restart", "flaky"})
# Every policy here waits 100 ms at least between two attempts.
_BACKOFF_S = 0.09


def judge(world: World) -> None:
    """Raises Violation."""
    _all_over(world)
    _nothing_left(world)
    audit(world, settled=True)
    _all_shards_owned(world)
    for name, life in world.watch.ended.items():
        _outcome(world, name, life)
    _promises(world)
    _ledger(world)


def audit(world: World, *, settled: bool) -> None:
    """What users' own checker says of the store at this moment. Raises Violation."""
    report = result_of(verify(MemoryAudit(state=world.server.state), Plan(settled=settled, pauses_seconds=())))
    for finding in report.findings:
        text = f"{finding.subject}, {finding.record}: expected {finding.expected}, found {finding.found}"
        raise Violation(finding.invariant, f"{finding.rule}: {text}")


def _all_over(world: World) -> None:
    for name, life in world.watch.lives.items():
        if life.head.status not in TERMINAL:
            open_now = f"{len(life.fold.activities)} calls, {len(life.fold.timers)} timers, "
            open_now += f"{len(life.fold.children)} children, {len(life.inbox)} messages open"
            raise Violation("L1", f"'{name}' is {life.head.status.name} for ever ({open_now})")


def _nothing_left(world: World) -> None:
    for number, shard in world.server.state.shards.items():
        for name in {*shard.instances, *(n for n in world.watch.lives if n in shard.instances)}:
            world.watch.compare_instance(number, name)
        if shard.outbox:
            raise Violation("L3", f"shard {number} keeps {len(shard.outbox)} messages that nobody delivers")
        for entries in shard.entries.values():
            if len(entries.ready) or entries.activities:
                raise Violation("I15", f"shard {number} keeps ready marks or calls of instances that are over")
            for key, _ in entries.reminders.first(1_000_000):
                if key.kind != RETENTION_REMINDER:
                    raise Violation("I15", f"shard {number} keeps {key}, whose instance is over")
                if key.instance_id not in shard.instances:
                    raise Violation("I15", f"shard {number} keeps {key}, whose instance is gone")


def _all_shards_owned(world: World) -> None:
    now_ms = world.server.now_ms()
    for number in range(world.settings.shards):
        lease = world.server.state.leases.get((number, ""))
        if lease is None or not lease.owner or lease.expires_at_ms < now_ms:
            raise Violation("L2", f"shard {number} has no owner")


def _given(life: Life) -> Any:
    for event in life.fold.events:
        if isinstance(event, e.ExecutionStarted):
            return msgspec.json.decode(event.input) if event.input is not None else None
    return None


def _outcome(world: World, name: str, life: Life) -> None:
    """A result that follows from the input is that result."""
    over = life.fold.over
    if isinstance(over, e.ExecutionTerminated) or life.name in {"collect", "collect_renewing"}:
        return
    given = _given(life)
    if isinstance(over, e.ExecutionFailed):
        # Attempts may all be used up by engines that could not take the answer in time.
        if life.name in {"impatient", "beating"} or (life.name == "parent" and _has_terminated_child(world, life)):
            return
        raise Violation("I1", f"'{name}' failed: {over.failure.message}")
    assert isinstance(over, e.ExecutionCompleted)
    result = msgspec.json.decode(over.result) if over.result is not None else None
    wanted = expected(life.name, given)
    if life.name == "bounded":
        return
    if result != wanted:
        raise Violation("I10", f"'{name}' came to {result}, not {wanted}")


def _has_terminated_child(world: World, life: Life) -> bool:
    return any(isinstance(event, e.ChildFailed) for event in life.fold.events)


# -- promises -----------------------------------------------------------------------------------------------------


def _promises(world: World) -> None:
    events: defaultdict[str, list[Promise]] = defaultdict(list)
    for promise in world.clients.promises:
        command = promise.command
        if command.kind == "start" and promise.accepted and not world.plan_loses:
            known = world.watch.lives.get(command.target) or world.watch.gone.get(command.target)
            if known is None:
                raise Violation("I9", f"'{command.target}' was started, and is nowhere")
        if command.kind == "event":
            events[command.target].append(promise)
    for name, life in world.watch.ended.items():
        if life.name in {"collect", "collect_renewing"}:
            _gathered(world, name, life, events[name])


def _gathered(world: World, name: str, life: Life, promises: list[Promise]) -> None:
    """Each event exactly once, none that was never sent, each client's in its order."""
    over = life.fold.over
    if not isinstance(over, e.ExecutionCompleted):
        return
    result: list[str] = msgspec.json.decode(over.result) if over.result is not None else []
    twice = [value for value, times in Counter(result).items() if times > 1]
    if twice:
        raise Violation("I5", f"'{name}' received {twice[0]} twice")
    stop_s = min((p.sent_s for p in promises if p.command.given == STOP), default=float("inf"))
    sent: dict[int, list[str]] = {}
    for promise in promises:
        value = promise.command.given
        if value == STOP:
            continue
        if promise.accepted and value not in result and promise.acked_s < stop_s and not world.plan_loses:
            raise Violation("I5", f"'{name}' never received {value}, which was accepted")
        sent.setdefault(promise.command.client, []).append(value)
    for client, values in sent.items():
        received = [value for value in result if value in values]
        if received != [value for value in values if value in received]:
            raise Violation("I5", f"'{name}' received the events of client {client} as {received}, sent {values}")
    _received_from_senders(world, name, result)


def _received_from_senders(world: World, name: str, result: list[str]) -> None:
    by_sender: defaultdict[str, list[int]] = defaultdict(list)
    for value in result:
        sender, _, number = value.rpartition("/")
        if sender:
            by_sender[sender].append(int(number))
    for sender, numbers in by_sender.items():
        if numbers != sorted(numbers):
            raise Violation("I5", f"'{name}' received the events of '{sender}' in the order {numbers}")


def _ledger(world: World) -> None:
    """Every call that was closed with a result had run, and no call ran more attempts than its policy allows."""
    runs: defaultdict[tuple[str, str, int], set[int]] = defaultdict(set)
    began: dict[tuple[str, str, int], tuple[int, float]] = {}
    is_timed = not any(fault.kind in _CLOCKS for fault in world.plan.faults)
    for run in world.ledger:
        call = (run.instance_id, run.execution_id, run.event_id)
        runs[call].add(run.attempt)
        former = began.get(call)
        if is_timed and former and run.attempt > former[0] and run.at_s < former[1] + _BACKOFF_S:
            raise Violation("I7", f"attempt {run.attempt} of call {call} began without its back-off")
        began[call] = (run.attempt, run.at_s)
        if run.attempt > MOST_ATTEMPTS[run.name]:
            raise Violation("I7", f"activity '{run.name}' of '{run.instance_id}' ran as attempt {run.attempt}")
    for name, life in world.watch.ended.items():
        for event in life.fold.events:
            if isinstance(event, e.ActivityCompleted):
                key = (name, life.head.execution_id, event.event_id)
                if event.attempt not in runs[key]:
                    raise Violation("I7", f"call {event.event_id} of '{name}' has a result and never ran")
