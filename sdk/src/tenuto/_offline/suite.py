"""Many histories replayed, and perturbed where that is asked for: what the command line and replay tests share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tenuto._guard.guard import Guard, Mode
from tenuto._offline.perturbing import PerturbationCheck, PerturbationReport, PerturbOptions
from tenuto._offline.replaying import Code, ReplayOptions, replay_history, unreadable
from tenuto._offline.results import ProblemKind, ReplayProblem, ReplayResult
from tenuto._offline.sources import HistorySource, read_source
from tenuto._wire.history import WorkflowHistory, export_json
from tenuto.errors import UnreadableHistory
from tenuto.worker import WorkflowRuntime


def code_of(runtime: WorkflowRuntime, guard: Mode = Mode.RAISE) -> Code:
    """The code of a runtime, with its own codec; the guard's mode is that of the replay, not the runtime's."""
    registry, payloads, _, investigator = runtime.parts()
    return Code(registry, payloads.codec, investigator, Guard(guard, registry.workflow_functions))


@dataclass(slots=True)
class SuiteOutcome:
    """A result for each history, in order, and remarks that concern them all."""

    results: list[ReplayResult]
    notes: list[str] = field(default_factory=list[str])

    @property
    def failed(self) -> list[ReplayResult]:
        """Those that today's code does not fit."""
        return [result for result in self.results if not result.is_ok]

    def by_workflow(self) -> dict[str, tuple[int, int]]:
        """For each workflow, sorted, how many histories there were and how many of them failed."""
        found: dict[str, tuple[int, int]] = {}
        for result in self.results:
            count, failed = found.get(result.workflow, (0, 0))
            found[result.workflow] = count + 1, failed + (not result.is_ok)
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class _Read:
    """One history as it was read, or why it could not be."""

    source: str
    history: WorkflowHistory | None = None
    refusal: str = ""


def run_suite(
    code: Code,
    histories: Iterable[HistorySource],
    *,
    options: ReplayOptions,
    target: str = "",
    perturb: PerturbOptions | None = None,
) -> SuiteOutcome:
    """Replay histories.

    Args:
        code: the code.
        histories: what to replay; see `read_source`.
        options: what is compared.
        target: how other processes find the code, as MODULE:RUNTIME; only to perturb.
        perturb: also replay in changed surroundings; None: do not.

    Raises:
        ApplicationRefused: the application cannot be imported by the processes that perturb it.
    """
    read = [_read(history) for history in histories]
    report = None if perturb is None else _perturb(target, read, perturb)
    results: list[ReplayResult] = []
    for position, one in enumerate(read):
        path = Path(str(position))
        if report is not None and path in report.hanging:
            results.append(_hanging(one, report.hanging[path]))
            continue
        result = _replay(code, one, options)
        results.append(result if report is None else result.perturbed(tuple(report.found.get(path, ()))))
    return SuiteOutcome(results, [] if report is None else report.notes)


def _read(source: HistorySource) -> _Read:
    try:
        history, name = read_source(source)
    except UnreadableHistory as error:
        return _Read(error.source, refusal=str(error))
    return _Read(name, history)


def _replay(code: Code, one: _Read, options: ReplayOptions) -> ReplayResult:
    if one.history is None:
        return unreadable(one.source, one.refusal)
    return replay_history(code, one.history, source=one.source, options=options)


def _hanging(one: _Read, text: str) -> ReplayResult:
    started = None if one.history is None else one.history.started
    report = (
        f"HANGS: the replay does not end: {text}\n"
        "  next: workflow code must wait only for tasks; look for loops that wait for a clock, a file or a variable"
    )
    return ReplayResult(
        one.source,
        "" if one.history is None else one.history.instance_id,
        "" if started is None else started.name,
        problem=ReplayProblem(ProblemKind.HANGS, report),
    )


def _perturb(target: str, read: Sequence[_Read], options: PerturbOptions) -> PerturbationReport:
    """Perturb what could be read; the report names each history by its position."""
    with TemporaryDirectory(prefix="tenuto-replay-") as folder:
        room, places = Path(folder, "elsewhere"), dict[Path, Path]()
        room.mkdir()
        for position, one in enumerate(read):
            if one.history is not None and one.history.started is not None:
                written = Path(folder, f"{position}.json")
                written.write_text(export_json(one.history), encoding="utf-8")
                places[written] = Path(str(position))
        if not places:
            return PerturbationReport({})
        found = PerturbationCheck(target, str(room), options).run(list(places))
        return PerturbationReport(
            {places[path]: one for path, one in found.found.items()},
            found.notes,
            {places[path]: text for path, text in found.hanging.items()},
        )
