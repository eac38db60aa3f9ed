"""A replay to step through: where code stands after each event, its variables, and the ways to see them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tenuto as wf
from replay_world import World, registry_of
from tenuto._cli.exits import Exit
from tenuto._cli.journey_screen import JourneyApp, render_stop
from tenuto._cli.main import main
from tenuto._offline.journey import Journey, Stop, travel
from tenuto._offline.journey_page import journey_page
from tenuto._offline.replaying import Code
from tenuto._replay import events as e
from tenuto._replay.executor import UnknownWorkflow
from tenuto._wire.history import WorkflowHistory, export_json, number_events


def one(ctx: wf.WorkflowActivityContext, value: Any) -> int:
    return 1


class Shy:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise ValueError("not me")


def helper(ctx: wf.WorkflowContext, base: int) -> Generator[wf.Task[Any], Any, int]:
    doubled = 2 * base
    more: int = yield ctx.call_activity(one, input=doubled)
    return doubled + more


def sums(ctx: wf.WorkflowContext) -> Generator[wf.Task[Any], Any, int]:
    shy = Shy()
    total = 0
    for number in (10, 20):
        total += yield from helper(ctx, number)
    first = yield wf.when_any([ctx.create_timer(timedelta(hours=1)), ctx.call_activity(one)])
    assert isinstance(shy, Shy)
    return total + int(first.get_result())


async def sums_async(ctx: wf.WorkflowContext) -> int:
    task = ctx.call_activity(one, input="</script><b>{{title}}")
    return int(await task)


def journey_of(workflow: Callable[..., Any], *values: Any) -> Journey:
    """The journey of a workflow whose operations complete one after another with `values`."""
    return travel(Code(registry_of(workflow, one)), history_of(workflow, *values))


def history_of(workflow: Callable[..., Any], *values: Any) -> WorkflowHistory:
    world = World(registry_of(workflow, one))
    for number, value in enumerate(values, 1):
        world.complete(number, value)
    return WorkflowHistory("i", "x", number_events(world.history))


def variables(stop: Stop, depth: int = -1) -> dict[str, str]:
    return {each.name: each.text for each in stop.frames[depth].variables}


def changed(stop: Stop, depth: int) -> set[str]:
    return {each.name for each in stop.frames[depth].variables if each.is_changed}


def test_each_event_has_its_stop_with_the_frames_that_wait() -> None:
    """A workflow and the helper it waits in are both shown, each at its line, with what changed since."""
    journey = journey_of(sums, 1, 2)
    assert [stop.event for stop in journey.stops][:3] == ["TurnStarted", "ExecutionStarted", "ActivityScheduled"]
    begun = journey.stops[1]
    assert [frame.function for frame in begun.frames] == ["sums", "helper"]
    assert begun.standing == "waits for the result of activity 'one'"
    assert begun.asked[0].startswith("activity 'one' (operation 1, at sdk/test_journey.py:")
    assert variables(begun, 0) | {"shy": ""} == {"ctx": "<the context>", "shy": "", "total": "0", "number": "10"}
    assert variables(begun)["doubled"] == "20"
    line = dict(begun.frames[1].lines)[begun.frames[1].line]
    assert "more: int = yield ctx.call_activity(one, input=doubled)" in line
    completed = next(stop for stop in journey.stops if stop.event == "ActivityCompleted")
    assert variables(completed, 0)["total"] == "21"
    assert changed(completed, 0) == {"total", "number"}
    assert changed(completed, 1) == {"base", "doubled"}
    assert journey.stops[-1].standing == "waits for the first of several tasks"
    assert variables(journey.stops[-1])["shy"].startswith("<Shy instance at")


def test_the_end_is_a_stop_without_frames() -> None:
    """What the code returned, or raised, is what it stands at."""

    def fails(ctx: wf.WorkflowContext) -> Any:
        raise KeyError("gone")

    assert journey_of(sums_async, 5).stops[-1].standing == "returned 5"
    assert journey_of(sums_async, 5).stops[-1].frames == ()
    assert journey_of(fails).stops[-1].standing == "raised KeyError: \"'gone'\""


def test_an_async_workflow_shows_its_variables() -> None:
    """A coroutine is looked at like a generator; a task tells what it is and whether it is complete."""
    stop = journey_of(sums_async).stops[1]
    assert variables(stop)["task"] == "<task: the result of activity 'one', not complete>"


def test_a_journey_ends_where_code_and_history_part() -> None:
    """The last stop is the event that does not fit, and the report goes with it."""
    registry = registry_of(sums_async, one)

    def timer(ctx: wf.WorkflowContext) -> Any:
        yield ctx.create_timer(timedelta(hours=1))

    journey = travel(Code(registry_of(timer, one)), history_of(sums, 1))
    assert journey.problem.startswith("NON_DETERMINISTIC")
    assert journey.stops[-1].event == "ActivityScheduled"
    assert journey.stops[-1].standing.startswith("NON_DETERMINISTIC")
    with pytest.raises(UnknownWorkflow, match="does not hold the start"):
        travel(Code(registry), WorkflowHistory("i", "x", number_events([e.TurnStarted(1)])))


def test_the_page_holds_all_stops_and_trusts_no_value() -> None:
    """What an instance holds cannot end the script element, and marks inside it are not filled in."""
    journey = journey_of(sums_async, 5)
    page = journey_page(journey)
    assert "</script><b>" not in page
    data = re.search(r'<script type="application/json" id="journey">(.*?)</script>', page, re.DOTALL)
    assert data
    stops = json.loads(data[1])
    assert len(stops) == len(journey.stops)
    assert "</script><b>{{title}}" in json.dumps(stops)
    assert "<title>Replay of i</title>" in page
    assert "src=" not in page
    assert "//" not in page.partition("</style>")[0]


async def test_the_text_ui_steps_through_events() -> None:
    """Keys move between events, and the right pane shows the one that is chosen."""
    journey = journey_of(sums, 1, 2)
    app = JourneyApp(journey)
    async with app.run_test(size=(140, 50)) as pilot:
        for keys, position in (
            ([], 0),
            (["n", "right"], 2),
            (["p"], 1),
            (["end"], len(journey.stops) - 1),
            (["home"], 0),
        ):
            await pilot.press(*keys)
            await pilot.pause()
            assert app.sub_title == f"event {position + 1} of {len(journey.stops)}"
        await pilot.press("p")
        assert app.sub_title == f"event 1 of {len(journey.stops)}"


def test_a_stop_on_a_terminal_shows_code_and_variables() -> None:
    """The innermost frame comes first, its line is marked, and control characters are escaped."""
    out = io.StringIO()
    Console(file=out, width=120).print(render_stop(journey_of(sums, 1).stops[1]))
    text = out.getvalue()
    assert text.index("helper") < text.index("sums  ")
    assert "doubled  20" in text
    assert "the code waits for the result of activity 'one'" in text


def test_the_command_replays_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe every stop is a few lines; `--html` writes the page; without code there is nothing to step through."""
    text = 'import tenuto as wf\nwfr = wf.WorkflowRuntime()\n@wfr.workflow(name="w")\ndef order(ctx):\n    x = 1\n'
    text += '    y = yield ctx.call_activity("one")\n    return x + y\n'
    (tmp_path / "journey_app.py").write_text(text, encoding="utf-8")

    def calls_one(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_activity(one))

    file, app = tmp_path / "h.json", f"{tmp_path}/journey_app.py:wfr"
    file.write_text(export_json(history_of(calls_one)), encoding="utf-8")

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["trace", str(file), "--step", *words])
        return int(ended.value.code or 0)

    assert run("--app", app) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if "journey_app.py:6" in line)
    assert lines[place + 1 : place + 3] == ['    | y = yield ctx.call_activity("one")', "    * ctx = <the context>"]
    assert "    * x = 1" in lines
    assert [line for line in lines if line != line.rstrip()] == []
    assert [line for line in lines if line.startswith("    in order, ")] == []
    assert run("--app", app, "--html", str(tmp_path / "page.html")) == Exit.OK
    assert "journey_app.py" in (tmp_path / "page.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run("--app", app, "--output", "json") == Exit.OK
    assert json.loads(capsys.readouterr().out)["workflow"] == "w"
    assert run() == Exit.USAGE
    file.write_text("{}")
    assert run("--app", app) == Exit.USAGE


def test_a_file_is_no_instance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exported history can only be stepped through: without `--step` no engine is asked, and the answer says how."""
    file = tmp_path / "h.json"
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(file), "--html", str(tmp_path / "page.html")])
    assert ended.value.code == Exit.USAGE
    assert "is a file: step through it with --step --app module:runtime" in capsys.readouterr().err


def test_a_pipe_tells_the_functions_that_wait_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a helper waits, its variables stand under its name and those of the workflow under the workflow's."""
    text = "import tenuto as wf\nwfr = wf.WorkflowRuntime()\ndef helper(ctx, x):\n    y = x + 1\n"
    text += '    return (yield ctx.call_activity("one"))\n'
    text += '@wfr.workflow(name="w")\ndef order(ctx):\n    x = 1\n    return (yield from helper(ctx, x))\n'
    (tmp_path / "helped_app.py").write_text(text, encoding="utf-8")

    def calls_one(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_activity(one))

    file = tmp_path / "h.json"
    file.write_text(export_json(history_of(calls_one)), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["trace", str(file), "--step", "--app", f"{tmp_path}/helped_app.py:wfr"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert re.search(
        r"    in order, \S+helped_app.py:9\n    \* ctx = .+\n    \* x = 1\n    in helper, \S+:5\n", printed
    )
