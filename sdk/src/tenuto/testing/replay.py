"""Replay tests: recorded histories against today's code, before it is deployed.

    from tenuto.testing.replay import assert_replays, histories_in

    @pytest.mark.parametrize("history", histories_in("tests/histories"))
    def test_running_instances_go_on(history):
        assert_replays(wfr, history)

Histories are exported with `tenuto workflow history INSTANCE --export FILE`, or taken from a live engine with
`tenuto replay --sample`. No engine is needed here, and no activity runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from tenuto._guard.guard import choose_mode
from tenuto._offline.perturbing import PerturbOptions
from tenuto._offline.processes import ApplicationRefused
from tenuto._offline.replaying import ReplayOptions, replay_history, unreadable
from tenuto._offline.results import ProblemKind, ReplayProblem, ReplayResult
from tenuto._offline.sources import HistorySource, NothingFound, find_files, read_source
from tenuto._offline.suite import code_of, run_suite
from tenuto.errors import ReplayFailed, UnreadableHistory
from tenuto.payload import PayloadCodec
from tenuto.worker import WorkflowRuntime

__all__ = [
    "HistorySource",
    "ProblemKind",
    "ReplayFailed",
    "ReplayProblem",
    "ReplayResult",
    "Replayer",
    "assert_replays",
    "histories_in",
]

GuardMode: TypeAlias = Literal["off", "warn", "raise"]


class Replayer:
    """Replays histories against the workflows that a runtime has registered. The runtime need not serve.

    Args:
        runtime: holds the code.
        payload_codec: reads recorded payloads. None: the runtime's own.
        check_inputs: also compare the inputs of operations, the ids of children and when timers are due. Off by
            default, since code may rightly begin to pass more than it did.
        check_results: also compare the result of executions that have ended.
        guard: what happens where the code calls a clock, a file, the network and the like: `"raise"`: it is the
            history's problem; `"warn"`: it is logged; `"off"`: nothing.

    Raises:
        ValueError: the guard's mode is none of these.
    """

    def __init__(
        self,
        runtime: WorkflowRuntime,
        *,
        payload_codec: PayloadCodec | None = None,
        check_inputs: bool = False,
        check_results: bool = True,
        guard: GuardMode = "raise",
    ) -> None:
        code = code_of(runtime, choose_mode(guard, None))
        self._code = code if payload_codec is None else replace(code, codec=payload_codec)
        self._options = ReplayOptions(check_inputs=check_inputs, check_results=check_results)

    def replay(self, history: HistorySource) -> ReplayResult:
        """Replay one history; whatever is wrong, with it or with the code, is the result's `problem`.

        Args:
            history: a history from a client; a path; the exported JSON as text, bytes or parsed.
        """
        try:
            found, source = read_source(history)
        except UnreadableHistory as error:
            return unreadable(error.source, str(error))
        return replay_history(self._code, found, source=source, options=self._options)

    def replay_all(self, histories: Iterable[HistorySource]) -> Iterator[ReplayResult]:
        """Replay one after another, as they are asked for."""
        return (self.replay(history) for history in histories)


def histories_in(*places: str | Path) -> list[Path]:
    """Return the exported histories in files, folders (all `*.json` below) or patterns, sorted; for `parametrize`.

    Raises:
        ValueError: a place holds none: a test that replays nothing proves nothing.
    """
    try:
        return find_files(places)
    except NothingFound as error:
        raise ValueError(f"{error}; export one: tenuto workflow history INSTANCE --export FILE") from error


def assert_replays(
    runtime: WorkflowRuntime,
    *histories: HistorySource,
    check_inputs: bool = False,
    check_results: bool = True,
    perturb: bool = False,
    app: str = "",
    guard: GuardMode = "raise",
) -> None:
    """Assert that today's code fits recorded histories.

    Args:
        runtime: holds the code.
        histories: see `Replayer.replay`; at least one.
        check_inputs: see `Replayer`.
        check_results: see `Replayer`.
        perturb: also assert that the replay depends on nothing around it: other processes replay each history with
            another hash seed, clock, time zone, locale, random seed, environment, host, folder and memory. Takes
            seconds; give many histories to one call.
        app: how those processes find the runtime, as MODULE:RUNTIME; empty: it is the global variable of a module.
        guard: see `Replayer`; off in those other processes.

    Raises:
        ReplayFailed: it does not; the message is the report of each that it does not fit.
        ValueError: no history was given, or no module holds the runtime.
    """
    __tracebackhide__ = True
    if not histories:
        raise ValueError("assert_replays needs at least one history")
    target = (app or _target_of(runtime)) if perturb else ""
    options = ReplayOptions(check_inputs=check_inputs, check_results=check_results)
    try:
        code = code_of(runtime, choose_mode(guard, None))
        tried = PerturbOptions() if perturb else None
        outcome = run_suite(code, histories, options=options, target=target, perturb=tried)
    except ApplicationRefused as refused:
        raise ValueError(f"{target} cannot be imported by another process:\n{refused}") from None
    if outcome.failed:
        raise ReplayFailed("\n\n".join(result.report() for result in outcome.failed))


def _target_of(runtime: WorkflowRuntime) -> str:
    """MODULE:RUNTIME of a runtime that some imported module holds, by its file, which any process can import."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None:
            continue
        for name, value in list(vars(module).items()):
            if value is runtime:
                is_file = module.__name__ == "__main__" or module.__spec__ is None or "." not in module.__name__
                return f"{file if is_file else module.__name__}:{name}"
    raise ValueError("no module holds this runtime as a global variable; give app='module:runtime'")
