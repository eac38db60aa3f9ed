"""`tenuto replay`: recorded histories against today's code, before it is deployed."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from tenuto._cli.arguments import parse_duration, parse_statuses
from tenuto._cli.exits import Exit
from tenuto._cli.replay_tables import outcome_json, print_outcome
from tenuto._cli.sampling import SampleWish, sample_histories, save
from tenuto._cli.session import Session, session_of
from tenuto._guard.guard import Mode
from tenuto._offline.perturbing import PerturbOptions
from tenuto._offline.processes import ApplicationRefused
from tenuto._offline.replaying import Code, ReplayOptions
from tenuto._offline.results import ProblemKind
from tenuto._offline.sources import HistorySource, NothingFound, find_files
from tenuto._offline.suite import SuiteOutcome, code_of, run_suite
from tenuto._wire.history import WorkflowHistory
from tenuto._worker.loading import NotRunnable, load, trace_of_import
from tenuto.worker import WorkflowRuntime


def replay(
    context: typer.Context,
    *,
    histories: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HISTORY...]", help="Exported histories: files, folders, patterns.", show_default=False
        ),
    ] = None,
    app: Annotated[
        str, typer.Option("--app", metavar="MODULE:RUNTIME", help="The code: a module or a path ending in .py.")
    ],
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="Take up to N histories from the engine.")
    ] = 0,
    workflow: Annotated[
        str, typer.Option("--workflow", metavar="WORKFLOW", help="With --sample: only of this workflow.")
    ] = "",
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="With --sample: only in this status; may be repeated."),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="With --sample: only of this version.")
    ] = None,
    save_to: Annotated[
        Path | None, typer.Option("--save", metavar="FOLDER", help="With --sample: keep the histories there.")
    ] = None,
    check_inputs: Annotated[
        bool, typer.Option("--check-inputs", help="Compare inputs, ids of children and times of timers too.")
    ] = False,
    check_results: Annotated[
        bool, typer.Option("--check-results/--no-check-results", help="Compare results of executions that ended.")
    ] = True,
    guard: Annotated[Mode, typer.Option("--guard", help="Calls of clocks, files, the network.")] = Mode.RAISE,
    perturb: Annotated[
        bool, typer.Option("--perturb", help="Replay in changed surroundings too, and name what makes a difference.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="With --perturb: of all seeds tried.")] = 0,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="With --perturb: how many seeds are tried.")
    ] = 4,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="With --perturb: longest time of one replay.")
    ] = "30s",
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=0, help="With --perturb: processes at a time; 0: by processors.")
    ] = 0,
) -> None:
    """Replay recorded histories against today's code, and show where it would do something else.

    Exit codes: 0 the code fits all of them; 1 it does not; 2 wrong usage, or a history or the code cannot be read.
    """
    session = session_of(context)
    if not histories and not sample:
        raise typer.BadParameter("name exported histories, or take some from the engine with --sample N")
    wish = SampleWish(sample, workflow, tuple(parse_statuses(status or [])), version)
    tried = PerturbOptions(seed=seed, rounds=rounds, timeout_s=parse_duration(timeout).total_seconds(), jobs=jobs)
    sources: list[HistorySource] = [*_files(session, histories or []), *_sampled(session, wish, save_to)]
    try:
        # What the application prints is not the result.
        with redirect_stdout(sys.stderr):
            outcome = run_suite(
                code_named(session, app, guard),
                sources,
                options=ReplayOptions(check_inputs=check_inputs, check_results=check_results),
                target=app,
                perturb=tried if perturb else None,
            )
    except ApplicationRefused as refused:
        session.stop(f"{app} cannot be imported by a replay process:\n{refused}", Exit.USAGE)
    if session.is_json:
        session.show(outcome_json(outcome), "")
    else:
        print_outcome(outcome, session.console)
    raise typer.Exit(_exit_for(outcome))


def _files(session: Session, places: list[str]) -> list[Path]:
    try:
        return find_files(places)
    except NothingFound as error:
        session.stop(str(error), Exit.USAGE)


def _sampled(session: Session, wish: SampleWish, folder: Path | None) -> list[WorkflowHistory | Path]:
    if not wish.count:
        return []
    found = list(sample_histories(session.client, wish))
    if not found:
        session.stop("the engine has no such instance with a history", Exit.NOT_FOUND)
    if folder is None:
        return [*found]
    try:
        saved = [save(history, folder) for history in found]
    except OSError as error:
        session.stop(f"the histories cannot be written: {error}", Exit.USAGE)
    session.notice(f"{len(saved)} histories written to {folder}")
    return [*saved]


def code_named(session: Session, target: str, guard: Mode) -> Code:
    """Return the code of MODULE:RUNTIME, or end the command."""
    try:
        runtime = load(target)
    except NotRunnable as error:
        session.stop(str(error), Exit.USAGE)
    except Exception as error:  # Whatever the module raises while it is imported is the user's to read.
        session.stop(f"{target} cannot be imported:\n{trace_of_import(error)}", Exit.USAGE)
    if not isinstance(runtime, WorkflowRuntime):
        session.stop(f"{target} is a {type(runtime).__name__}, not a WorkflowRuntime", Exit.USAGE)
    return code_of(runtime, guard)


def _exit_for(outcome: SuiteOutcome) -> Exit:
    kinds = {result.problem.kind for result in outcome.results if result.problem is not None}
    if kinds - {ProblemKind.UNREADABLE}:
        return Exit.FAILED
    return Exit.USAGE if kinds else Exit.OK
