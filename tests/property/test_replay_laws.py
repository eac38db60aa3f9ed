"""Laws of replay, for any workflow that a small language can say."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import tenuto as wf
from replay_world import World, registry_of
from tenuto._replay import actions as a
from tenuto._replay import events as e

# A program is a list of statements; each fans out over some operations and waits for all, any or none of them.
OPERATIONS = st.sampled_from(["activity", "timer", "child", "event", "event-or-timeout", "send", "status", "patch"])
STATEMENTS = st.tuples(st.sampled_from(["all", "any", "none"]), st.lists(OPERATIONS, min_size=1, max_size=4))
PROGRAMS = st.lists(STATEMENTS, max_size=6)
CHOICES = st.lists(st.integers(0, 1 << 16), min_size=60, max_size=60)


def work(ctx: wf.WorkflowActivityContext, x: int) -> int:
    return x


def ask(ctx: wf.WorkflowContext, operation: str) -> wf.Task[Any] | None:
    """Perform one operation of the language; a task where there is something to wait for."""
    match operation:
        case "activity":
            return ctx.call_activity(work, input=ctx.random().randrange(100))
        case "timer":
            return ctx.create_timer(timedelta(seconds=5))
        case "child":
            return ctx.call_child_workflow("kid", input=str(ctx.new_uuid()))
        case "event":
            return ctx.wait_for_external_event("Ping")
        case "event-or-timeout":
            return ctx.wait_for_external_event("ping", timeout=timedelta(seconds=9))
        case "send":
            ctx.raise_event("other", "hello")
        case "status":
            ctx.set_custom_status(ctx.current_utc_datetime)
        case _:
            ctx.is_patched("p")
    return None


def steps(ctx: wf.WorkflowContext, program: list[Any]) -> Generator[wf.Task[Any], Any, list[Any]]:
    """Run a program; the result says everything the code saw."""
    seen: list[Any] = []
    for mode, operations in program:
        tasks = [task for task in (ask(ctx, operation) for operation in operations) if task is not None]
        if mode == "none" or not tasks:
            continue
        try:
            outcome = yield wf.when_all(tasks) if mode == "all" else wf.when_any(tasks)
        except TimeoutError:
            seen.append("timeout")
            continue
        seen.append(outcome if mode == "all" else tasks.index(outcome))
    return seen


def as_generator(ctx: wf.WorkflowContext, program: list[Any]) -> Any:
    return (yield from steps(ctx, program))


async def as_coroutine(ctx: wf.WorkflowContext, program: list[Any]) -> list[Any]:
    stepping = steps(ctx, program)
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            task = stepping.send(value) if error is None else stepping.throw(error)
        except StopIteration as stop:
            return list(stop.value)
        value, error = None, None
        try:
            value = await task
        except TimeoutError as raised:
            error = raised


def play(world: World, choices: list[int], *, restarts: bool) -> None:
    """Let the world go on as the choices say, until the workflow ends or the choices do."""
    for choice in choices:
        if world.ending is not None:
            return
        if restarts and choice % 3 == 0:
            outcome = world.restart()
            assert outcome.problem is None
            assert [x for x in outcome.actions if not isinstance(x, a.CancelTimer)] == []
        received = [e.EventRaised("PING", b"%d" % choice)] if choice % 2 else []
        ids = sorted(world.open)
        if ids:
            event_id = ids[choice % len(ids)]
            received.append(world.completion(event_id, choice))  # type: ignore[arg-type]
        world.turn(*received)


@settings(deadline=None)
@given(program=PROGRAMS, choices=CHOICES)
def test_replay_is_a_fixed_point(program: list[Any], choices: list[int]) -> None:
    """Replaying a history with the code that wrote it asks for nothing more, sets nothing and differs nowhere."""
    world = World(registry_of(as_generator, work), program)
    play(world, choices, restarts=False)
    outcome = world.restart()
    assert outcome.problem is None
    assert [x for x in outcome.actions if not isinstance(x, a.CancelTimer)] == []
    assert (outcome.custom_status, outcome.patches) == (None, [])


@settings(deadline=None)
@given(program=PROGRAMS, choices=CHOICES)
def test_restarts_change_nothing(program: list[Any], choices: list[int]) -> None:
    """However often the live instance is lost, history and result are those of an undisturbed run."""
    undisturbed = World(registry_of(as_generator, work), program)
    play(undisturbed, choices, restarts=False)
    disturbed = World(registry_of(as_generator, work), program)
    play(disturbed, choices, restarts=True)
    assert disturbed.ending == undisturbed.ending
    assert [strip(event) for event in disturbed.history] == [strip(event) for event in undisturbed.history]


@settings(deadline=None)
@given(program=PROGRAMS, choices=CHOICES)
def test_generators_and_coroutines_are_equal(program: list[Any], choices: list[int]) -> None:
    """The two forms of the same workflow ask for the same operations and end alike."""
    generator = World(registry_of(as_generator, work), program)
    play(generator, choices, restarts=False)
    coroutine = World(registry_of(as_coroutine, work), program)
    play(coroutine, choices, restarts=False)
    assert coroutine.ending == generator.ending
    assert [strip(event) for event in coroutine.history] == [strip(event) for event in generator.history]


@settings(deadline=None)
@given(program=PROGRAMS, choices=CHOICES, cut=st.integers(0, 1 << 16))
def test_a_partly_recorded_last_turn_is_completed(program: list[Any], choices: list[int], cut: int) -> None:
    """Cutting recorded operations off the end of history makes a replay ask for exactly those."""
    world = World(registry_of(as_generator, work), program)
    play(world, choices, restarts=False)
    operations = 0
    for event in reversed(world.history):
        if hasattr(event, "event_id") and not isinstance(event, (e.ActivityCompleted, e.ChildCompleted, e.TimerFired)):
            operations += 1
        else:
            break
    lost = cut % (operations + 1)
    kept, missing = world.history[: len(world.history) - lost], world.history[len(world.history) - lost :]
    world.history = kept
    outcome = world.restart()
    assert outcome.problem is None
    asked = [action.event_id for action in outcome.actions if not isinstance(action, a.CancelTimer)]
    assert asked == [getattr(event, "event_id", None) for event in missing]


def strip(event: e.Event) -> e.Event:
    """An event without the source line and the code's hash, which differ between two functions."""
    if isinstance(event, e.TurnStarted):
        return msgspec.structs.replace(event, code_hash="")
    return msgspec.structs.replace(event, source="") if hasattr(event, "source") else event
