"""Edits of a workflow as pairs of sources, and what an edit does to instances that run: asked of the real executor."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay_world import World, registry_of
from tenuto._lint.drift.drifting import Hunk, difference, pair_up
from tenuto._lint.drift.program import Program
from tenuto._lint.graph import build_graph
from tenuto._lint.project import DiskSources, Project
from tenuto._replay import actions as a
from tenuto._replay import events as e

_FOLDER = Path("/nowhere/at/all")
_LONGEST = 6  # Completions in a history; every order of them is tried.


@dataclass(frozen=True)
class Edit:
    """One edit.

    Attributes:
        name: what was done.
        base: body of the workflow before.
        current: body of it today.
        says: what drift says of it; empty where it says nothing.
        is_certain: whether small runs show what drift says: it also speaks of histories that they cannot have.
    """

    name: str
    base: str
    current: str
    says: str = ""
    is_certain: bool = True

    @property
    def before(self) -> str:
        """The module at the base."""
        return source_of(self.base)

    @property
    def after(self) -> str:
        """The module today."""
        return source_of(self.current)


def source_of(body: str) -> str:
    """A module whose workflow `w` has this body."""
    head = "import tenuto as wf\nfrom datetime import timedelta\nwfr = wf.WorkflowRuntime()\n"
    inside = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{head}\n\n@wfr.workflow\ndef w(ctx, x):\n{inside}\n"


def program_of(**files: str) -> Program:
    """A project of these modules, which need not exist on disk."""
    sources = {_FOLDER / f"{name}.py": text.encode() for name, text in files.items()}
    project = Project(DiskSources(sources))
    for path in sources:
        project.module_at(path)
    return Program(project, build_graph(project))


def differences(before: str, after: str) -> list[Hunk]:
    """What drift finds between two modules with a workflow `w`."""
    pairs, gone, new = pair_up(program_of(shop=before), program_of(shop=after))
    assert (len(pairs), gone, new) == (1, [], [])
    return list(difference(pairs[0]).hunks)


def load(source: str) -> Callable[..., Any]:
    """The workflow of a module, run for real."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<edit>", "exec"), namespace)  # noqa: S102  # our own text
    function: Callable[..., Any] = namespace["w"]
    return function


def breaks(base: str, current: str) -> bool:
    """Whether any instance of the base, at any point of its life, cannot be replayed by today's code."""
    old, new = load(base), load(current)
    return any(_cannot_replay(world, new) for value in (0, 1, 5) for world in _lives(old, value, ()))


def _lives(function: Callable[..., Any], value: int, choices: tuple[tuple[int, str], ...]) -> Iterator[World]:
    """Every world that lives on, by what completes, fails or is raised next."""
    world = _world(function, value, choices)
    if world.ending is not None:
        return
    yield world
    if len(choices) < _LONGEST:
        ways = [(number, "completes") for number in sorted(world.open)[:3]]
        ways += [(number, "fails") for number, one in world.open.items() if isinstance(one, a.ScheduleActivity)][:1]
        ways += [(0, "event")] if "wait_for_external_event" in function.__code__.co_names else []
        for way in ways:
            yield from _lives(function, value, (*choices, way))


def _world(function: Callable[..., Any], value: int, choices: tuple[tuple[int, str], ...]) -> World:
    world = World(registry_of(function), value)
    for number, how in choices:
        match how:
            case "completes":
                world.complete(number, value)
            case "fails":
                world.fail(number, e.Failure("Broken", "it broke"))
            case _:
                world.turn(e.EventRaised("e", b"1"))
    return world


def _cannot_replay(world: World, function: Callable[..., Any]) -> bool:
    world.registry = registry_of(function)
    return world.restart().problem is not None


A, B, C = (f'yield ctx.call_activity("{name}")\n' for name in "abc")
T = "yield ctx.create_timer(timedelta(seconds=1))\n"
FAN_OUT = 't = ctx.call_activity("a")\nu = ctx.call_activity("b")\n'


def inside(head: str, body: str) -> str:
    """A block."""
    return f"{head}\n{textwrap.indent(body, '    ')}"


EDITS = [
    Edit("nothing", A + B, A + B),
    Edit("an activity renamed", A + B, A + C, "activity 'b' became activity 'c'"),
    Edit("an activity became a timer", A + B, A + T, "activity 'b' became timer"),
    Edit("an activity removed", A + B + C, A + C, "activity 'b' is gone"),
    Edit("the last one removed", A + B, A, "activity 'b' is gone"),
    Edit("an activity added", A + B, A + C + B, "activity 'c' is new before activity 'b'"),
    Edit("one added at the end", A + B, A + B + C),
    Edit("two reordered", A + B + C, A + C + B, "activity 'b' moved after activity 'c'"),
    Edit("a timer added", A + B, A + T + B, "timer is new before activity 'b'"),
    Edit("another duration", A + T, A + "yield ctx.create_timer(timedelta(hours=1))"),
    Edit("another input", A + B, A + 'yield ctx.call_activity("b", input=x)'),
    Edit(
        "an event sent",
        A + B,
        A + 'ctx.raise_event("other", "e")\n' + B,
        "event to another instance 'e' is new before activity 'b'",
    ),
    Edit(
        "a wait with a timeout",
        A + 'yield ctx.wait_for_external_event("e")\n' + B,
        A + 'yield ctx.wait_for_external_event("e", timeout=timedelta(seconds=1))\n' + B,
        "event 'e' became event with timeout 'e'",
    ),
    Edit(
        "another event",
        A + 'yield ctx.wait_for_external_event("e")\n' + B,
        A + 'yield ctx.wait_for_external_event("f")\n' + B,
        "event 'e' became event 'f'",
    ),
    Edit(
        "an event in other letters", 'yield ctx.wait_for_external_event("E")', 'yield ctx.wait_for_external_event("e")'
    ),
    Edit("added behind a patch", A + B, A + inside('if ctx.is_patched("p"):', C) + B),
    Edit("replaced behind a patch", A + B, A + inside('if ctx.is_patched("p"):', C) + inside("else:", B)),
    Edit("removed behind a patch", A + B + C, A + inside('if not ctx.is_patched("p"):', B) + C),
    Edit("an early end behind a patch", A + B, A + inside('if ctx.is_patched("p"):', C + "return 1\n") + B),
    Edit("a patch asked for in a name", A + B, A + 'is_new = ctx.is_patched("p")\n' + inside("if is_new:", C) + B),
    Edit(
        "a patch taken back",
        A + inside('if ctx.is_patched("p"):', C) + B,
        A + B,
        "activity 'c' is gone",
    ),
    Edit("a patch made the rule", A + inside('if ctx.is_patched("p"):', C) + B, A + C + B),
    Edit("a branch around", A + B, A + inside("if x > 3:", B), "'if x > 3' is new around activity 'b'"),
    Edit("a branch gone", A + inside("if x > 3:", B) + C, A + B + C, "'if x > 3' is gone around activity 'b'"),
    Edit("the last branch gone", A + inside("if x > 3:", B), A + B),
    Edit(
        "a branch on the clock",
        A + B,
        A + inside("if ctx.current_utc_datetime.year > 3000:", B) + inside("else:", C),
        "'if ctx.current_utc_datetime.year > 3000' is new around activity 'b'; activity 'c' is new after activity 'b'",
    ),
    Edit(
        "another condition",
        A + inside("if x > 3:", B) + C,
        A + inside("if x > 0:", B) + C,
        "'if x > 3' became 'if x > 0'",
    ),
    Edit(
        "a condition turned round",
        A + inside("if x > 3:", B) + C,
        A + "if not x > 3:\n    pass\n" + inside("else:", B) + C,
    ),
    Edit("a variable renamed", "r = " + A + inside("if r:", B) + C, "s = " + A + inside("if s:", B) + C),
    Edit("an early end", A + B, A + inside("if x > 3:", "return 1\n") + B, "'if x > 3' is new around activity 'b'"),
    Edit(
        "an early error",
        A + B,
        inside("if x > 3:", "raise ValueError\n") + A + B,
        "'if x > 3' is new around activity 'a' and 1 more",
    ),
    Edit("an early end gone", A + inside("if x > 3:", "return 1\n") + B, A + B),
    Edit("an early end at the end", A + B, A + B + inside("if x > 3:", "return 1\n")),
    Edit(
        "else instead of return", inside("if x > 3:", A + "return 1\n") + B, inside("if x > 3:", A) + inside("else:", B)
    ),
    Edit(
        "branches swapped",
        inside("if x > 3:", A) + inside("else:", B),
        inside("if x > 3:", B) + inside("else:", A),
        "activity 'a' moved after activity 'b'; activity 'b' moved",
    ),
    Edit(
        "to the other branch",
        inside("if x > 3:", A) + inside("else:", "pass\n") + B,
        inside("if x > 3:", "pass\n") + inside("else:", A) + B,
        "activity 'a' moved before activity 'b'",
    ),
    Edit(
        "another case",
        "match x:\n" + textwrap.indent(inside("case 1:", A) + inside("case _:", B), "    "),
        "match x:\n" + textwrap.indent(inside("case 1:", A) + inside("case 5:", C) + inside("case _:", B), "    "),
        "activity 'c' is new before activity 'b'",
    ),
    Edit(
        "a loop around",
        A + B,
        A + inside("for i in range(2):", B),
        "'for i in range(2)' is new around activity 'b'",
        is_certain=False,  # This loop runs; one over a list of nothing does not.
    ),
    Edit(
        "more in a loop",
        inside("for i in range(2):", A),
        inside("for i in range(2):", A + B),
        "activity 'b' is new after activity 'a'",
    ),
    Edit(
        "a loop left early",
        inside("for i in range(3):", A) + B,
        inside("for i in range(3):", A + inside("if x > 3:", "break\n")) + B,
        "'break' is new before activity 'b'",
    ),
    Edit(
        "an error handled", A + B, "try:\n" + textwrap.indent(A, "    ") + inside("except wf.TaskFailedError:", C) + B
    ),
    Edit(
        "an error handled no more",
        "try:\n" + textwrap.indent(A, "    ") + inside("except wf.TaskFailedError:", C) + B,
        A + B,
        "'try' is gone around activity 'a'; activity 'c' is gone",
    ),
    Edit(
        "an error passed over no more",
        "try:\n" + textwrap.indent(A, "    ") + inside("except wf.TaskFailedError:", "pass\n") + B,
        A + B,
        "'try' is gone around activity 'a'",
    ),
    Edit(
        "a wait for one more",
        FAN_OUT + "yield t\n" + C,
        FAN_OUT + "yield t\nyield u\n" + C,
        "'wait' is gone before activity 'c'; 'wait' is new before activity 'c'",
    ),
    Edit(
        "not waited for both at the end",
        FAN_OUT + "yield wf.when_all([t, u])",
        FAN_OUT,
        "'wait' is gone after activity 'b'",
    ),
    Edit(
        "one after the other",
        FAN_OUT + "yield wf.when_all([t, u])",
        A + B,
        "'wait' is new before activity 'b'",
    ),
    Edit("both at once", A + B, FAN_OUT + "yield wf.when_all([t, u])", "'wait' is gone before activity 'b'"),
    Edit(
        "the first of both",
        FAN_OUT + "yield wf.when_all([t, u])\n" + C,
        FAN_OUT + "yield wf.when_any([t, u])\n" + C,
        "'wait' is gone before activity 'c'; 'wait for the first of them' is new before activity 'c'",
    ),
    Edit("both one by one", FAN_OUT + "yield wf.when_all([t, u])\n" + C, FAN_OUT + "yield t\nyield u\n" + C),
    Edit("not waited for at the end", A, 'ctx.call_activity("a")'),
]
