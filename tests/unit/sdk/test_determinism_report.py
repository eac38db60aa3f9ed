"""The report of a difference: what it shows, what it takes for the cause, and whether its patch works."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest

import tenuto as wf
from determinism_edits import BODY, CHARGE, EDITS, HEAD, ORIGINAL, PACK, activities_of, load, paste
from replay_world import World, registry_of
from tenuto._payloads import Payloads
from tenuto._replay import events as e
from tenuto._replay.definitions import NO_OPTIONS
from tenuto._replay.executor import Executor, TurnOutcome
from tenuto._replay.report import MAX_CHARACTERS
from tenuto._replay.scene import Suspect
from tenuto._worker.investigation import CodeInvestigator
from tenuto._worker.reachable_code import code_hash, mentioned_names, reachable
from tenuto._worker.registry import Registry

CLOCK = Suspect("TEN101", "before/orders.py:30", "the clock is read", "Use ctx.current_utc_datetime.")


def registered(module: types.ModuleType) -> Registry:
    """The module's workflow as "w", with its activities."""
    return registry_of(module.order, *activities_of(module))


def replay(world: World, registry: Registry, *, found: Sequence[Suspect] = (), **options: Any) -> TurnOutcome:
    """What code makes of the world's history."""
    investigator = CodeInvestigator(lambda path, function: found)
    executor = Executor("i", "x", definitions=registry, payloads=Payloads(), investigator=investigator, **options)
    return executor.run(world.history, [])


def report_of(outcome: TurnOutcome) -> str:
    """The report; fails where there is none."""
    assert outcome.problem is not None, "nothing differs"
    return str(outcome.problem)


def table_of(report: str) -> list[str]:
    """The rows of operations side by side."""
    lines = report.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.endswith("| now")) + 1
    return lines[begin : next(i for i in range(begin, len(lines)) if lines[i].startswith("  ("))]


@pytest.fixture
def written(tmp_path: Path) -> World:
    """An instance of the original code that has done all but wait for the event."""
    world = World(registered(load(tmp_path / "before", ORIGINAL)), "tea")
    for number in (1, 2, 3):
        world.complete(number, f"result {number}")
    return world


@pytest.mark.parametrize(
    ("edit", "code", "mark", "cause"),
    [
        ("renamed", "UNEXPECTED_ACTIVITY", "~  2", "activity 'charge' was renamed"),
        ("reordered", "UNEXPECTED_ACTIVITY", "~  2", "activity 'pack' is now asked for before activity 'charge'"),
        ("removed", "UNEXPECTED_ACTIVITY", "-  2", "activity 'charge' was removed"),
        ("added", "UNEXPECTED_ACTIVITY", "+  2", "activity 'inspect' was added before activity 'charge'"),
        ("timer", "NON_DETERMINISTIC", "+  2", "a timer was added before activity 'charge'"),
    ],
)
def test_an_edit_is_recognized_and_its_patch_works_when_pasted(
    edit: str, code: str, mark: str, cause: str, *, written: World, tmp_path: Path
) -> None:
    """The first cause is the edit; with the snippet pasted, the old instance goes on and new ones run the new code."""
    changed = EDITS[edit]
    report = report_of(replay(written, registered(load(tmp_path / "after", changed))))
    assert report.startswith(f"{code}: ")
    assert f"  1. {'the order was changed: ' if edit == 'reordered' else ''}{cause}" in report
    assert [row[2:6] for row in table_of(report)][1] == mark
    line = ORIGINAL[: ORIGINAL.index(CHARGE)].count("\n") + 1
    assert f"before/orders.py:{line}" in table_of(report)[1 if mark[0] in "~-" else 2]
    assert "tenuto workflow resume i" in report
    patched = load(tmp_path / "patched", paste(report, changed))
    written.registry = registered(patched)
    assert replay(written, written.registry).problem is None
    written.executor = written.new_executor()
    written.executor.run(written.history, [])
    written.turn(e.EventRaised("picked up"))
    assert written.result()[0] == "result 1"
    fresh = World(written.registry, "tea")
    fresh.complete(1)
    expected = {"renamed": "charge_card", "reordered": "pack", "removed": "pack", "added": "inspect", "timer": None}
    assert getattr(fresh.open[2], "name", None) == expected[edit]


def test_a_branch_on_the_clock_is_named_and_offers_no_patch(written: World, tmp_path: Path) -> None:
    """What varies by itself is to be made deterministic: the linter's finding comes first, and no snippet is shown."""
    report = report_of(replay(written, registered(load(tmp_path / "after", EDITS["clock"])), found=[CLOCK]))
    causes = report.partition("likely causes")[2]
    assert causes.splitlines()[1].startswith("  1. a branch goes another way")
    assert "- TEN101 at before/orders.py:30: the clock is read. Use ctx.current_utc_datetime." in causes
    assert "is_patched" not in report


def test_unchanged_code_that_differs_is_not_called_an_edit() -> None:
    """The same hash then and now says so, and that the behaviour varies."""
    order = ["one", "two"]

    def varies(ctx: wf.WorkflowContext) -> Any:
        for name in order:
            yield ctx.call_activity(name)

    world = World(registry_of(varies))
    order.reverse()
    report = report_of(replay(world, world.registry))
    assert "(the same)" in report
    assert "likely cause:\n  1. the workflow's code is the same that recorded this" in report
    assert "is_patched" not in report


def test_a_history_without_hashes_is_read(written: World, tmp_path: Path) -> None:
    """Histories older than the hash only lack it."""
    written.history = [
        e.TurnStarted(each.at_ms, each.patches) if isinstance(each, e.TurnStarted) else each for each in written.history
    ]
    assert replay(written, written.registry).problem is None
    report = report_of(replay(written, registered(load(tmp_path / "after", EDITS["renamed"]))))
    assert "code hash: not recorded when recorded" in report


PICKED_UP = '    yield ctx.wait_for_external_event("picked up")\n'
CASES: dict[str, tuple[str, str]] = {
    "ends early": (
        ORIGINAL.replace(PACK + PICKED_UP, "").replace(", packed", ""),
        "the code ends earlier (the workflow completes): activity 'pack' was removed",
    ),
    "asks for another kind": (
        ORIGINAL.replace(CHARGE, "    charged = yield ctx.call_child_workflow('bill')\n"),
        "activity 'charge' was replaced by child workflow 'bill'",
    ),
    "no longer asks": (
        ORIGINAL.replace(CHARGE, "    charged = yield ctx.wait_for_external_event('paid')\n"),
        "activity 'charge' was removed: the code waits at after/orders.py:28",
    ),
    "sends an event": (
        ORIGINAL.replace(CHARGE, "    ctx.raise_event('other', 'begun')\n" + CHARGE),
        "event to another instance 'begun' was added before activity 'charge'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_more_edits(case: str, written: World, tmp_path: Path) -> None:
    """Other kinds of operations and ends are named as what they are, and their patches work too."""
    changed, cause = CASES[case]
    report = report_of(replay(written, registered(load(tmp_path / "after", changed))))
    assert report.startswith("NON_DETERMINISTIC: Workflow code changed or behaves differently\n")
    assert cause in report
    assert replay(written, registered(load(tmp_path / "patched", paste(report, changed)))).problem is None


ASYNC = (HEAD + BODY).replace("def order", "async def order").replace("yield", "await")


@pytest.mark.parametrize("edit", ["removed", "renamed", "added"])
def test_async_workflows_get_await(edit: str, tmp_path: Path) -> None:
    """The snippet is of the kind of the function around it."""
    world = World(registered(load(tmp_path / "before", ASYNC)), "tea")
    for number in (1, 2, 3):
        world.complete(number, "x")
    changed = EDITS[edit].replace("def order", "async def order").replace("yield", "await")
    report = report_of(replay(world, registered(load(tmp_path / "after", changed))))
    assert "yield" not in report
    patched = paste(report, changed)
    assert "await" in patched
    assert replay(world, registered(load(tmp_path / "patched", patched))).problem is None


LOOP = (
    HEAD
    + """\


def order(ctx: wf.WorkflowContext, item: str):
    for _ in range(2):
        yield ctx.call_activity(reserve, input=item)
        yield ctx.call_activity(charge, input=item)
    yield ctx.wait_for_external_event("picked up")
"""
)


def test_what_is_gone_from_the_end_of_a_loop_is_put_back_there(tmp_path: Path) -> None:
    """The next operation is that of the next round: the snippet goes behind the one before, and works there."""
    world = World(registered(load(tmp_path / "before", LOOP)), "tea")
    for number in (1, 2, 3, 4):
        world.complete(number, "x")
    changed = LOOP.replace("        yield ctx.call_activity(charge, input=item)\n", "")
    report = report_of(replay(world, registered(load(tmp_path / "after", changed))))
    line = LOOP[: LOOP.index("(reserve, ")].count("\n") + 1
    assert f"with this behind line {line} of after/orders.py" in report
    assert replay(world, registered(load(tmp_path / "patched", paste(report, changed)))).problem is None


def fan_out_of(names: Sequence[str]) -> Callable[..., Any]:
    def order(ctx: wf.WorkflowContext) -> Any:
        yield wf.when_all([ctx.call_activity(name) for name in names])

    return order


def test_a_reordered_fan_out_of_a_hundred_stays_readable() -> None:
    """Seven rows around the first difference, and how many more differ."""
    names = [f"a{number}" for number in range(100)]
    world = World(registry_of(fan_out_of(names)))

    def half_reversed(ctx: wf.WorkflowContext) -> Any:
        yield wf.when_all([ctx.call_activity(name) for name in [*names[:50], *reversed(names[50:])]])

    report = report_of(replay(world, registry_of(half_reversed)))
    rows = table_of(report)
    assert [row[2] for row in rows] == [" ", " ", " ", "~", "~", "~", "~", " "]
    assert rows[-1] == "    ... and 46 more that differ"
    assert "the order was changed" in report
    assert len(report) < 4_000


def test_one_missing_in_a_fan_out_is_found_among_the_others() -> None:
    """Both sides are known, so what follows is matched again."""
    world = World(registry_of(fan_out_of(["a", "b", "c", "d"])))
    rows = table_of(report_of(replay(world, registry_of(fan_out_of(["a", "c", "d"])))))
    assert [row[2:6].split() for row in rows] == [["1"], ["-", "2"], ["3"], ["4"]]
    assert rows[2].count("'c'") == 2


def helper(ctx: wf.WorkflowContext, name: str) -> Any:
    return (yield ctx.call_activity(name))


def test_the_line_is_that_of_the_helper_that_asks() -> None:
    """Through `yield from`, the line now is the helper's own."""

    def before(ctx: wf.WorkflowContext) -> Any:
        yield from helper(ctx, "one")
        yield ctx.wait_for_external_event("x")

    def after(ctx: wf.WorkflowContext) -> Any:
        yield from helper(ctx, "two")

    world = World(registry_of(before))
    report = report_of(replay(world, registry_of(after)))
    line = helper.__code__.co_firstlineno + 1
    assert report.count(f"sdk/test_determinism_report.py:{line}") == 4


def test_a_helper_is_part_of_the_workflows_code() -> None:
    """Its change changes the hash; a change of an activity does not."""
    space: dict[str, Any] = {"wf": wf, "__name__": "shop"}
    exec("def helper(ctx): return 1\ndef act(ctx): return 1\ndef flow(ctx): return helper(ctx), act", space)  # noqa: S102
    first = registry_of(space["flow"], space["act"])
    (code,) = first._workflows["w"].values()
    before = first.code_hash(code)
    exec("def act(ctx): return 2", space)  # noqa: S102
    second = registry_of(space["flow"], space["act"])
    assert second.code_hash(code) == before
    exec("def helper(ctx): return 2", space)  # noqa: S102
    assert registry_of(space["flow"], space["act"]).code_hash(code) != before


def test_inputs_are_compared_only_by_option() -> None:
    """The same operation with another input passes, unless asked for; a codec's noise is no difference."""
    value = ["old"]

    class Noisy:
        def __init__(self) -> None:
            self.count = 0

        def encode(self, data: bytes) -> bytes:
            self.count += 1
            return bytes([self.count]) + data

        def decode(self, data: bytes) -> bytes:
            return data[1:]

    def flow(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity("one", input=value[0])

    world = World(registry_of(flow))
    assert replay(world, world.registry, check_inputs=True).problem is None
    value[0] = "new"
    assert replay(world, world.registry).problem is None
    report = report_of(replay(world, world.registry, check_inputs=True))
    assert report.startswith("NON_DETERMINISTIC: ")
    noisy = Payloads(Noisy())
    sealed = Executor("i", "x", definitions=world.registry, payloads=noisy)
    asked = sealed.run([], [e.TurnStarted(1), world.history[1]]).actions[0]
    history = [e.TurnStarted(1), world.history[1], e.ActivityScheduled(1, "one", asked.input)]  # type: ignore[union-attr]
    again = Executor("i", "x", definitions=world.registry, payloads=noisy, check_inputs=True)
    assert again.run(history, []).problem is None


def test_an_input_given_to_a_rerun_is_no_difference() -> None:
    """The operation that a rerun runs again may have another input than the code gives it."""

    def flow(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity("one", input="old")

    world = World(registry_of(flow))
    world.history = [
        e.ActivityScheduled(1, "one", b'"new"') if isinstance(x, e.ActivityScheduled) else x for x in world.history
    ]
    assert replay(world, world.registry, check_inputs=True).problem is not None
    world.history.append(e.RerunStarted("other", 1))
    assert replay(world, world.registry, check_inputs=True).problem is None


@pytest.mark.parametrize("fault", [RuntimeError("boom"), SyntaxError("x"), RecursionError()])
def test_a_linter_that_fails_is_left_out(fault: Exception, written: World, tmp_path: Path) -> None:
    """The report says so and is whole otherwise."""

    def failing(path: str, function: str) -> list[Suspect]:
        raise fault

    registry = registered(load(tmp_path / "after", EDITS["renamed"]))
    executor = Executor("i", "x", definitions=registry, payloads=Payloads(), investigator=CodeInvestigator(failing))
    report = report_of(executor.run(written.history, []))
    assert f"- the linter could not look at the function: {type(fault).__name__}" in report
    assert "is_patched" in report


def test_a_linter_that_hangs_is_not_waited_for(written: World, tmp_path: Path) -> None:
    """A report waits for it a little, once per function."""
    import threading

    may_end, asked = threading.Event(), list[str]()

    def hanging(path: str, function: str) -> list[Suspect]:
        asked.append(function)
        may_end.wait()
        return [CLOCK]

    investigator = CodeInvestigator(hanging, lint_seconds=0.01)
    registry = registered(load(tmp_path / "after", EDITS["renamed"]))
    for _ in range(2):
        executor = Executor("i", "x", definitions=registry, payloads=Payloads(), investigator=investigator)
        assert "the linter needs too long here" in report_of(executor.run(written.history, []))
    assert asked == ["order"]
    may_end.set()


@pytest.mark.parametrize("text", ["", "no python (", "\0", "(" * 10_000, "x = 1\n" * 40])
def test_a_file_that_is_no_longer_the_code_costs_only_the_snippet(text: str, written: World, tmp_path: Path) -> None:
    """The code may come from a file that was replaced meanwhile."""
    registry = registered(load(tmp_path / "after", EDITS["renamed"]))
    (tmp_path / "after" / "orders.py").write_text(text)
    report = report_of(replay(written, registry))
    assert "1. activity 'charge' was renamed" in report
    assert "put the new code into `if ctx.is_patched(" in report


def test_a_missing_file_costs_only_the_snippet(written: World, tmp_path: Path) -> None:
    """As in images that ship bytecode alone."""
    registry = registered(load(tmp_path / "after", EDITS["renamed"]))
    (tmp_path / "after" / "orders.py").unlink()
    assert "put the new code into `if ctx.is_patched(" in report_of(replay(written, registry))


def test_a_report_is_bounded(tmp_path: Path) -> None:
    """However long names and texts are, and the end, which says what to do, stays."""
    names = [f"{number}-" + "x" * 500 for number in range(50)]
    world = World(registry_of(fan_out_of(names)))
    found = [Suspect("TEN101", "f" * 5_000, "m" * 50_000, "i" * 50_000)] * 9
    report = report_of(replay(world, registry_of(fan_out_of(names[::-1])), found=found))
    assert len(report) <= MAX_CHARACTERS
    assert report.endswith("tenuto workflow start w")


def test_a_waiting_code_says_where_it_waits() -> None:
    """An operation that the code does not ask for any more shows the line at which it stands."""

    def before(ctx: wf.WorkflowContext) -> Any:
        yield ctx.wait_for_external_event("go", timeout=timedelta(hours=1))

    def after(ctx: wf.WorkflowContext) -> Any:
        yield ctx.wait_for_external_event("go")

    world = World(registry_of(before))
    report = report_of(replay(world, registry_of(after)))
    line = after.__code__.co_firstlineno + 1
    assert f"attempted: nothing at this point: the code waits at sdk/test_determinism_report.py:{line}" in report
    assert 'yield ctx.wait_for_external_event("go")\n' in report
    assert "timeout=ctx.current_utc_datetime" in report


def test_hash_is_recorded_once_and_again_when_it_changes(written: World, tmp_path: Path) -> None:
    """The first turn tells it, the next ones of the same code do not; other code tells its own in its first turn."""
    hashes = [each.code_hash for each in written.history if isinstance(each, e.TurnStarted)]
    assert [bool(each) for each in hashes] == [True, False, False, False]
    changed = ORIGINAL.replace("return [reserved", "return [1, reserved")
    registry = registered(load(tmp_path / "after", changed))
    executor = Executor("i", "x", definitions=registry, payloads=Payloads())
    assert executor.run(written.history, []).code_hash == ""
    outcome = executor.run([], [e.TurnStarted(5_000_000), e.EventRaised("other")])
    assert outcome.code_hash not in ("", hashes[0])
    assert executor.run([], [e.TurnStarted(5_000_001), e.EventRaised("other")]).code_hash == ""


def test_a_registered_name_counts_and_not_the_functions(tmp_path: Path) -> None:
    """An activity that is registered under another name was renamed, although the code's text is the same."""

    def registry(name: str, release: str) -> Registry:
        module = load(tmp_path / release, ORIGINAL)
        made = registry_of(module.order)
        for each in activities_of(module):
            made.add_activity(each, name if each.__name__ == "charge" else None, NO_OPTIONS)
        return made

    world = World(registry("charge", "before"), "tea")
    for number in (1, 2, 3):
        world.complete(number, "x")
    outcome = replay(world, registry("charge_by_card", "after"))
    assert isinstance(outcome.problem, wf.NonDeterminismError)
    assert outcome.problem.code == "UNEXPECTED_ACTIVITY"
    report = report_of(outcome)
    assert "(the same)" in report
    assert "  ~  2  activity 'charge'" in report


def test_versions_of_a_workflow_are_each_their_own_code(tmp_path: Path) -> None:
    """The execution keeps its version, and the report is about that version's function."""

    def registry(text: str, release: str) -> Registry:
        module = load(tmp_path / release, text)
        made = Registry()
        made.add_variant(module.order, "w", "v1", is_latest=False)
        made.add_variant(lambda ctx: None, "w", "v2", is_latest=True)
        return made

    first = registry(ORIGINAL, "before")
    first._workflows["w"][None] = first._workflows["w"]["v1"]
    world = World(first, "tea")
    world.complete(1, "x")
    world.complete(2, "x")
    report = report_of(replay(world, registry(EDITS["removed"], "after")))
    assert "1. activity 'charge' was removed" in report
    assert "at after/orders.py:26" in report


def test_two_patches_of_one_place_have_two_names(written: World, tmp_path: Path) -> None:
    """A name that the file holds already is not offered again: patch ids mean one thing for ever."""
    changed = EDITS["added"].replace("def order", 'NAMES = ["with-inspect"]\n\n\ndef order')
    assert 'is_patched("with-inspect-2")' in report_of(replay(written, registered(load(tmp_path / "after", changed))))


RESULT = "from dataclasses import dataclass\n\n\n@dataclass\nclass Receipt:\n    total: int = 0\n\n\n"


@pytest.mark.parametrize("names", ['("charge_card", "pack")', '("inspect", "charge", "pack")', '("pack",)'])
def test_a_line_that_computes_its_activity_is_left_to_its_author(names: str, written: World, tmp_path: Path) -> None:
    """A branch for one name would meet the loop's other turns: the snippet leaves the old form open, and says so."""
    loop = f"    charged = packed = None\n    for name in {names}:\n        yield ctx.call_activity(name, input=item)\n"
    changed = ORIGINAL.replace(CHARGE + PACK, loop)
    report = report_of(replay(written, registered(load(tmp_path / "after", changed))))
    assert "is_patched(" in report
    assert "        else:\n            ...  # as it was when history was recorded" in report
    assert "what it calls is the value of `name`" in report
    assert 'call_activity("' not in report


@pytest.mark.parametrize("gone", ["charge", "pack"])
def test_one_taken_out_of_a_fan_out_is_left_to_its_author(gone: str, tmp_path: Path) -> None:
    """Nothing can be asked for ahead of what was asked for together: the snippet holds the whole statement."""
    all_three = "ctx.call_activity(reserve), ctx.call_activity(charge), ctx.call_activity(pack)"
    text = f"{HEAD}\n\ndef order(ctx: wf.WorkflowContext):\n    yield wf.when_all([{all_three}])\n"
    changed = text.replace(f", ctx.call_activity({gone})", "")
    world = World(registered(load(tmp_path / "before", text)))
    report = report_of(replay(world, registered(load(tmp_path / "after", changed))))
    assert f"activity '{gone}' was removed" in report
    assert "    else:\n        ...  # as it was when history was recorded" in report
    assert 'call_activity("' not in report


def test_the_old_branch_decodes_results_as_the_new_one(tmp_path: Path) -> None:
    """Called by its name, an activity has no annotation: the snippet takes that of the function called now."""
    before = ORIGINAL.replace(
        "def charge(ctx: wf.WorkflowActivityContext, item: str) -> str:", "def charge(ctx, item):"
    )
    world = World(registered(load(tmp_path / "before", before)), "tea")
    world.complete(1, "x")
    world.complete(2, {})
    signature = "def charge_card(ctx: wf.WorkflowActivityContext, item: str) -> "
    changed = (
        EDITS["renamed"]
        .replace(f"{signature}str", f"{signature}Receipt")
        .replace("def reserve", RESULT + "def reserve", 1)
    )
    report = report_of(replay(world, registered(load(tmp_path / "after", changed))))
    assert 'ctx.call_activity("charge", result_type=Receipt, input=item)' in report
    assert replay(world, registered(load(tmp_path / "patched", paste(report, changed)))).problem is None


@pytest.mark.parametrize(
    ("edit", "first", "second", "choice"),
    [
        ("reordered", "activity 'pack' was added before activity 'charge'", "the order was changed", 1),
        ("added", "activity 'inspect' was added before activity 'charge'", "the order was changed", 0),
        ("removed", "activity 'charge' was removed", "activity 'charge' was replaced by activity 'pack'", 0),
    ],
)
def test_where_history_ends_both_explanations_are_given(
    edit: str, first: str, second: str, choice: int, *, tmp_path: Path
) -> None:
    """While the operation that differs is still open, what came behind it is not recorded; each has its own patch."""
    world = World(registered(load(tmp_path / "before", ORIGINAL)), "tea")
    world.complete(1, "result 1")
    report = report_of(replay(world, registered(load(tmp_path / "after", EDITS[edit]))))
    assert f"  1. {first}" in report
    assert f"  2. {second}" in report
    parts = report.split("if the change is meant")
    patched = registered(load(tmp_path / "patched", paste(parts[0] + parts[1 + choice], EDITS[edit])))
    assert replay(world, patched).problem is None
    world.registry = patched
    world.executor = world.new_executor()
    world.executor.run(world.history, [])
    world.complete(2, "result 2")
    assert getattr(world.open[3], "name", "") == "pack"


def test_hostile_globals_do_not_break_the_hash() -> None:
    """A module may hold lazy objects that raise whenever they are touched; looking at code touches none."""

    class Proxy:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(f"working outside of a context: {name}")

    space: dict[str, Any] = {"wf": wf, "__name__": "shop", "current": Proxy(), "cached": None}
    exec("def helper(ctx): return 1\ndef flow(ctx): return helper(ctx), current, cached(ctx)", space)  # noqa: S102
    space["cached"] = lru_cache(space["helper"])
    registry = registry_of(space["flow"])
    (code,) = registry._workflows["w"].values()
    assert len(registry.code_hash(code)) == 16
    assert {each.__qualname__ for each in reachable(space["flow"])} == {"flow", "helper"}
    assert "current" in (mentioned_names(space["flow"]) or ())


def test_methods_partials_and_callable_objects_have_a_hash() -> None:
    """Whatever can be registered as a workflow is some code."""

    class Shop:
        def helper(self) -> int:
            return 1

        def order(self, ctx: wf.WorkflowContext) -> int:
            return self.helper()

        def __call__(self, ctx: wf.WorkflowContext) -> int:
            return self.helper()

    names = {each.__qualname__.rpartition(".")[2] for each in reachable(Shop().order)}
    assert names == {"order", "helper", "__call__"}
    assert {each.__name__ for each in reachable(Shop())} == {"__call__", "helper"}
    assert [each.__name__ for each in reachable(partial(helper, name="one"))] == ["helper"]
    assert reachable(print) == []
    assert len(code_hash(print)) == len(code_hash(Shop())) == 16
