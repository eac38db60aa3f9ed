"""Laws of the report: whatever was changed, it says so truly, readably, and within its bound."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tenuto as wf
from determinism_edits import load, paste
from replay_world import World, registry_of
from tenuto._payloads import Payloads
from tenuto._replay import events as e
from tenuto._replay.executor import Executor
from tenuto._replay.report import MAX_CHARACTERS
from tenuto._worker.investigation import CodeInvestigator

NAMES = st.sampled_from(["pack", "ship", "charge", "charge_card"])
STEP = st.one_of(
    st.tuples(st.just("activity"), NAMES),
    st.tuples(st.just("child"), NAMES),
    st.tuples(st.just("timer"), st.just("")),
    st.tuples(st.just("event"), NAMES),
    st.tuples(st.just("all"), st.lists(NAMES, min_size=1, max_size=6)),
)
PROGRAMS = st.lists(STEP, max_size=6)


def steps(ctx: wf.WorkflowContext, program: list[Any]) -> Any:
    for kind, name in program:
        if kind == "activity":
            yield ctx.call_activity(name)
        elif kind == "child":
            yield ctx.call_child_workflow(name)
        elif kind == "timer":
            yield ctx.create_timer(timedelta(seconds=1))
        elif kind == "event":
            ctx.raise_event("other", name)
        else:
            yield wf.when_all([ctx.call_activity(each) for each in name])


def played(program: list[Any], turns: int) -> World:
    """A world whose instance has run the program for some turns, oldest operation first."""

    def before(ctx: wf.WorkflowContext) -> Any:
        yield from steps(ctx, program)

    world = World(registry_of(before))
    for _ in range(turns):
        if world.open:
            world.complete(min(world.open))
    return world


def names_in(rows: list[str], side: int) -> list[str]:
    """The operations of one side of the table."""
    return [text for row in rows if (text := row[6:].split("|")[side].strip().partition("  ")[0].strip())]


@settings(deadline=None, max_examples=300)
@given(old=PROGRAMS, new=PROGRAMS, turns=st.integers(0, 8), knows_code=st.booleans())
def test_a_report_is_true_and_bounded(old: list[Any], new: list[Any], turns: int, knows_code: bool) -> None:  # drawn
    """The code says which kind it is; both columns are stretches of what is recorded and asked, in their order."""
    world = played(old, turns)

    def after(ctx: wf.WorkflowContext) -> Any:
        yield from steps(ctx, new)

    investigator = CodeInvestigator(None) if knows_code else None
    executor = Executor("i", "x", definitions=registry_of(after), payloads=Payloads(), investigator=investigator)
    problem = executor.run(world.history, []).problem
    if not isinstance(problem, wf.NonDeterminismError):
        return
    assert isinstance(problem, wf.NonDeterminismError)
    report = str(problem)
    lines = report.splitlines()
    assert "report failed" not in report
    assert len(report) <= MAX_CHARACTERS
    both = (problem.recorded.partition(" '")[0], problem.attempted.partition(" '")[0])
    assert problem.code == ("UNEXPECTED_ACTIVITY" if both == ("activity", "activity") else "NON_DETERMINISTIC")
    begin = next(i for i, line in enumerate(lines) if line.endswith("| now")) + 1
    rows = [line for line in lines[begin : lines.index("", begin)] if not line.startswith(("  (", "    ..."))]
    assert any(row[2] in "~-+" for row in rows)
    recorded = [title for each in world.history if (title := recorded_title(each))]
    assert is_stretch(names_in(rows, 0), recorded)
    assert is_stretch([name for name in names_in(rows, 1) if name != "?"], asked_titles(new))


def is_stretch(part: list[str], whole: list[str]) -> bool:
    """Whether the one stands in the other, without a gap."""
    return any(whole[i : i + len(part)] == part for i in range(len(whole) + 1))


def asked_titles(program: list[Any]) -> list[str]:
    """What the table calls the operations that a program asks for."""
    titles: list[str] = []
    for kind, name in program:
        match kind:
            case "activity":
                titles.append(f"activity '{name}'")
            case "child":
                titles.append(f"child workflow '{name}'")
            case "timer":
                titles.append("timer")
            case "event":
                titles.append(f"event to another instance '{name}'")
            case _:
                titles += [f"activity '{each}'" for each in name]
    return [*titles, "the workflow completes"]


def recorded_title(event: e.Event) -> str:
    """What the table calls a recorded operation; empty for other events."""
    match event:
        case e.ActivityScheduled():
            return f"activity '{event.name}'"
        case e.ChildCreated():
            return f"child workflow '{event.name}'"
        case e.EventSent():
            return f"event to another instance '{event.name}'"
        case e.TimerCreated():
            return "timer"
        case e.ExecutionCompleted():
            return "the workflow completed"
        case _:
            return ""


OPERATIONS = ["reserve", "charge", "pack", "ship", "timer", "child"]
FRESH = ["inspect", "refund", "charge_card"]


def written(operations: list[str]) -> str:
    """A module whose workflow asks for operations one after the other."""
    lines = ["from datetime import timedelta", "", ""]
    for name in (*OPERATIONS[:4], *FRESH):
        lines += [f"def {name}(ctx, item):", "    return item", "", ""]
    lines.append("def order(ctx, item):")
    for name in operations:
        call = {"timer": "create_timer(timedelta(seconds=1))", "child": "call_child_workflow('child')"}.get(name)
        lines.append(f"    done = yield ctx.{call or f'call_activity({name}, input=item)'}")
    return "\n".join([*lines, "    yield ctx.wait_for_external_event('end')", "    return 1", ""])


def edited(operations: list[str], edit: str, at: int) -> list[str]:
    """The operations after one edit."""
    made = list(operations)
    match edit:
        case "rename":
            made[at] = FRESH[at % 3]
        case "remove":
            del made[at]
        case "add":
            made.insert(at, FRESH[at % 3])
        case "add a timer":
            made.insert(at, "timer")
        case _:
            made[at : at + 2] = reversed(made[at : at + 2])
    return made


@settings(deadline=None, max_examples=150)
@given(
    operations=st.lists(st.sampled_from(OPERATIONS), min_size=2, max_size=6, unique=True),
    edit=st.sampled_from(["rename", "remove", "add", "add a timer", "reorder"]),
    at=st.integers(0, 5),
    turns=st.integers(0, 6),
)
def test_a_snippet_of_the_report_mends_any_single_edit(operations: list[str], edit: str, at: int, turns: int) -> None:
    """Wherever it is, and however far the instance has come, one of the snippets lets it go on, pasted as it is."""
    at %= len(operations)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = World(registry_of(load(folder / "before", written(operations)).order), "tea")
        for _ in range(turns):
            if world.open:
                world.complete(min(world.open), "x")
        changed = written(edited(operations, edit, at))
        investigator = CodeInvestigator(None)

        def replayed(release: str, text: str) -> Any:
            registry = registry_of(load(folder / release, text).order)
            executor = Executor("i", "x", definitions=registry, payloads=Payloads(), investigator=investigator)
            return executor.run(world.history, []).problem

        problem = replayed("after", changed)
        assume(problem is not None)
        head, *snippets = str(problem).split("if the change is meant")
        assert snippets, problem
        assert any(replayed("patched", paste(head + snippet, changed)) is None for snippet in snippets), problem
