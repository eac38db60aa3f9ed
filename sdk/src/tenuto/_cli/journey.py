"""`tenuto trace --step`: a replay of today's code over an instance's history, event by event."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

from tenuto._cli.exits import Exit
from tenuto._cli.replay import code_named
from tenuto._cli.session import Session
from tenuto._guard.guard import Mode
from tenuto._offline.journey import Journey, travel
from tenuto._offline.journey_page import journey_page
from tenuto._offline.sources import read_file
from tenuto._replay.executor import UnknownWorkflow
from tenuto._wire.history import WorkflowHistory
from tenuto.errors import UnreadableHistory


def step_through(session: Session, instance: str, *, app: str, html: Path | None) -> None:
    """Replay, and show it: on the terminal, as a page, or as JSON.

    Args:
        session: the command line's.
        instance: an instance's id, or the path of an exported history.
        app: the code, as MODULE:RUNTIME.
        html: where the page goes; None: to the terminal.
    """
    if not app:
        session.stop("--step replays your code: name it with --app module:runtime", Exit.USAGE)
    journey = _travel(session, instance, app)
    if html is not None:
        try:
            html.write_text(journey_page(journey), encoding="utf-8")
        except OSError as error:
            session.stop(f"the page cannot be written: {error}", Exit.USAGE)
        session.notice(f"replay of {journey.instance_id} written to {html}")
    elif session.is_json:
        session.show(asdict(journey), "")
    elif not session.console.is_terminal:
        _print_all(session, journey)
    elif importlib.util.find_spec("textual") is None:
        session.stop("the text UI is not installed here: pip install 'tenuto[tui]', or use --html FILE", Exit.USAGE)
    else:
        _show(journey)


def _travel(session: Session, instance: str, app: str) -> Journey:
    try:
        with redirect_stdout(sys.stderr):
            return travel(code_named(session, app, Mode.OFF), _history(session, instance))
    except (UnknownWorkflow, UnreadableHistory) as error:
        session.stop(str(error), Exit.USAGE)


def _history(session: Session, instance: str) -> WorkflowHistory:
    if is_file(instance):
        return read_file(Path(instance))
    return session.client.get_workflow_history(instance)


def is_file(instance: str) -> bool:
    """Whether what was named is an exported history rather than an instance."""
    return instance.endswith(".json") and Path(instance).is_file()


def _show(journey: Journey) -> None:
    from tenuto._cli.journey_screen import JourneyApp

    JourneyApp(journey).run()


def _print_all(session: Session, journey: Journey) -> None:
    """For a pipe: one line for each event, and where the code then stands."""
    for stop in journey.stops:
        place = f" at {stop.frames[-1].source}" if stop.frames else ""
        about = f"  {stop.about}" if stop.about else ""
        session.console.print(f"{stop.key}  turn {stop.turn}  {stop.event}{about}", soft_wrap=True)
        session.console.print(f"    the code {stop.standing}{place}", soft_wrap=True)
        line = dict(stop.frames[-1].lines).get(stop.frames[-1].line, "").strip() if stop.frames else ""
        if line:
            session.console.print(f"    | {line}", soft_wrap=True)
        for frame in stop.frames:
            if len(stop.frames) > 1:
                session.console.print(f"    in {frame.function}, {frame.source}", soft_wrap=True)
            for one in frame.variables:
                mark = "*" if one.is_changed else " "
                session.console.print(f"    {mark} {one.name} = {one.text}", soft_wrap=True)
    if journey.problem:
        session.console.print(journey.problem, soft_wrap=True)
