"""Edits of a workflow as pairs of sources, and what an edit does to instances that run: asked of the real executor."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay_world import World, registry_of
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
        says: what drift says of it, beginning with the first change; empty where it says nothing.
        helpers: module-level code that both revisions have.
    """

    name: str
    base: str
    current: str
    says: str = ""
    helpers: str = ""


def source_of(body: str, helpers: str = "") -> str:
    """A module whose workflow `w` has this body."""
    head = "import tenuto as wf\nfrom datetime import timedelta\nwfr = wf.WorkflowRuntime()\n"
    inside = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{head}{textwrap.dedent(helpers)}\n\n@wfr.workflow\ndef w(ctx, x):\n{inside}\n"


def program_of(**files: str) -> Program:
    """A project of these modules, which need not exist on disk."""
    sources = {_FOLDER / f"{name}.py": text.encode() for name, text in files.items()}
    project = Project(DiskSources(sources))
    for path in sources:
        project.module_at(path)
    return Program(project, build_graph(project))


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
