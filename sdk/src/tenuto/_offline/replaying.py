"""Replays one history as a worker would that has it all and must go on: with the same executor, without an engine.

Each history is replayed twice. First as what it is; then once more while `ctx.is_replaying` says False, as it did when
the history was made: code that asks for something else then would write a history that it cannot replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tenuto._guard.guard import Guard
from tenuto._offline.results import ProblemKind, ReplayProblem, ReplayResult
from tenuto._offline.transcripts import Difference, Entry, Recorder, differences, recorded_entry, same_json
from tenuto._payloads import PayloadCodec, Payloads
from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto._replay.context import ReplayContext
from tenuto._replay.definitions import CallInfo
from tenuto._replay.executor import Executor, TurnOutcome, UnknownWorkflow, WorkflowCode
from tenuto._replay.operations import Operations
from tenuto._replay.patches import Patches
from tenuto._replay.scene import Investigator
from tenuto._wire.history import PAYLOAD_FIELDS, UnknownEvent, WorkflowHistory
from tenuto._worker.context import WorkflowContext
from tenuto._worker.registry import Registry
from tenuto.errors import GuardViolation, NonDeterminismError, PayloadError

_SEARCH: Final = (
    "look for clocks, randomness, the order of sets, or state outside the workflow; tenuto replay --perturb names it"
)
_ENDINGS = (e.ExecutionCompleted, e.ExecutionFailed, e.ExecutionTerminated)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """What a replay compares beyond the operations themselves.

    Args:
        check_inputs: inputs of operations, the ids of children, and when timers are due.
        check_results: the result or failure of executions that have ended.
        check_first_time: the same while `ctx.is_replaying` is False.
    """

    check_inputs: bool = False
    check_results: bool = True
    check_first_time: bool = True


@dataclass(frozen=True, slots=True)
class Code:
    """What is replayed.

    Args:
        registry: the registered workflows.
        codec: the application's payload codec.
        investigator: who tells more about the code where it differs from history; None: nobody.
        guard: watches the code; None: nobody does.
    """

    registry: Registry
    codec: PayloadCodec | None = None
    investigator: Investigator | None = None
    guard: Guard | None = None


class RecordedPayloads(Payloads):
    """Reads payloads as recorded, and keeps those that no longer fit; what the code gives stays plain JSON.

    Nobody stores what a replay asks for, and encrypted text could not be compared.

    Args:
        codec: the application's codec; None where payloads are plain JSON or already decoded.
    """

    __slots__ = ("refusals",)

    def __init__(self, codec: PayloadCodec | None) -> None:
        super().__init__(codec)
        self.refusals: list[PayloadError] = []

    def load(self, data: bytes | None, annotation: Any = Any, *, what: str = "payload") -> Any:
        """As of any payloads."""
        try:
            return super().load(data, annotation, what=what)
        except PayloadError as error:
            self.refusals.append(error)
            raise

    def seal(self, data: bytes | None) -> bytes | None:
        """The JSON itself."""
        return data

    def plain(self, data: bytes | None) -> bytes | None:
        """A recorded payload without the codec; as it is where the codec does not know it."""
        if self.codec is None or data is None:
            return data
        try:
            return self.codec.decode(data)
        except Exception:  # User code; whoever compares then sees that the bytes differ.
            return data


class _FirstTimeContext(WorkflowContext):
    """The context of code that is told it runs for the first time."""

    @property
    def is_replaying(self) -> bool:
        """What it was while the history was made. Patches still answer as history says."""
        return False


class _Definitions:
    """The registered code, with contexts for one of the two replays."""

    def __init__(self, registry: Registry, *, is_first_time: bool) -> None:
        self._registry = registry
        self._context = _FirstTimeContext if is_first_time else WorkflowContext

    @property
    def activities(self) -> Mapping[str, CallInfo]:
        return self._registry.activities

    def workflow(self, name: str, variant: str | None) -> WorkflowCode:
        return self._registry.workflow(name, variant)

    def code_hash(self, code: WorkflowCode) -> str:
        return self._registry.code_hash(code)

    def make_context(self, operations: Operations, patches: Patches) -> ReplayContext:
        return self._context(operations, patches)


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: what the code asked for beyond history, all it asked for, and payloads that did not fit."""

    outcome: TurnOutcome
    entries: list[Entry]
    refusals: list[PayloadError]


class HistoryReplay:
    """Replays of one history with one application's code.

    Args:
        code: the code.
        history: what is recorded; complete, and known to this release.
    """

    def __init__(self, code: Code, history: WorkflowHistory) -> None:
        self._code = code
        self._codec = None if history.is_decoded else code.codec
        self._history = history
        self._events = [item.event for item in history if not isinstance(item.event, UnknownEvent)]

    def run(self, *, is_first_time: bool = False, recorder: Recorder | None = None) -> Run:
        """Replay once.

        Args:
            is_first_time: `ctx.is_replaying` says False.
            recorder: writes down what happens; None: a new one.

        Raises:
            UnknownWorkflow: the workflow is not registered.
        """
        payloads, recorder, guard = RecordedPayloads(self._codec), recorder or Recorder(), self._code.guard
        executor = Executor(
            self._history.instance_id,
            self._history.execution_id,
            definitions=_Definitions(self._code.registry, is_first_time=is_first_time),
            payloads=payloads,
            investigator=self._code.investigator,
            watch=None if guard is None else guard.watch(self._history.instance_id),
            observer=recorder,
        )
        try:
            outcome = executor.run(self._events, [])
        finally:
            executor.close()
        problem = outcome.problem
        if isinstance(problem, NonDeterminismError):
            recorder.note("mismatch", f"{problem.recorded} / {problem.attempted}")
        elif problem is not None:
            recorder.note("refusal", problem.finding)
        return Run(outcome, recorder.entries, payloads.refusals)

    def recorded(self) -> dict[int, Entry]:
        """What history holds of each operation, by number; without one that a rerun may have given another input."""
        plain = RecordedPayloads(self._codec).plain
        found = (recorded_entry(event, plain) for event in self._events)
        rerun = {event.event_id for event in self._events if isinstance(event, e.RerunStarted)}
        return {entry.event_id: entry for entry in found if entry is not None and entry.event_id not in rerun}

    def plain(self, event: e.Event) -> e.Event:
        """An event with its payloads as JSON, without the codec."""
        plain = RecordedPayloads(self._codec).plain
        fields = [name for name in PAYLOAD_FIELDS if isinstance(getattr(event, name, None), bytes)]
        return msgspec.structs.replace(event, **{name: plain(getattr(event, name)) for name in fields})

    @property
    def ending(self) -> e.Event | None:
        """The event that ended the recorded execution."""
        return next((event for event in reversed(self._events) if isinstance(event, _ENDINGS)), None)

    @property
    def turn_count(self) -> int:
        """Turns in history."""
        return sum(isinstance(event, e.TurnStarted) for event in self._events)


def unreadable(source: str, text: str) -> ReplayResult:
    """The result for a history that cannot be replayed at all."""
    return ReplayResult(source, problem=ReplayProblem(ProblemKind.UNREADABLE, f"UNREADABLE: {text}"))


def replay_history(
    code: Code, history: WorkflowHistory, *, source: str = "", options: ReplayOptions | None = None
) -> ReplayResult:
    """Replay a history against the registered code and say what differs; nothing is raised for any difference."""
    started = history.started
    unknown = next((item for item in history if isinstance(item.event, UnknownEvent)), None)
    if unknown is not None:
        return unreadable(source, f"{unknown.key} is of a type that this release does not know; upgrade tenuto")
    if started is None:
        return unreadable(source, f"the history of '{history.instance_id}' does not hold the start of the workflow")
    replay = HistoryReplay(code, history)
    judged = _Judgement(replay, options or ReplayOptions())
    judged.judge()
    return ReplayResult(
        source,
        history.instance_id,
        started.name,
        started.version,
        len(history),
        replay.turn_count,
        replay.ending is None,
        judged.problem,
        tuple(judged.notes),
        tuple(judged.transcript),
    )


class _Judgement:
    """Finds the first problem of a replay, in the order of how much it explains."""

    def __init__(self, replay: HistoryReplay, options: ReplayOptions) -> None:
        self._replay = replay
        self._options = options
        self.problem: ReplayProblem | None = None
        self.notes: list[str] = []
        self.transcript: list[Entry] = []

    def judge(self) -> None:
        """Replay and compare."""
        try:
            run = self._replay.run()
        except UnknownWorkflow as error:
            text = f"NOT_REGISTERED: {error}\n  next: register it, or remove the histories of workflows that are gone"
            self.problem = ReplayProblem(ProblemKind.NOT_REGISTERED, text)
            return
        self.transcript = run.entries
        self.problem = self._mismatch(run) or self._surplus(run) or self._comparison() or self._first_time(run)
        if self.problem is None:
            self.notes += [f"a recorded payload did not fit, and the code went on: {one}" for one in run.refusals]

    def _mismatch(self, run: Run) -> ReplayProblem | None:
        error = run.outcome.problem
        if error is None:
            return None
        if isinstance(error, GuardViolation):
            return ReplayProblem(ProblemKind.GUARD_REFUSED, str(error))
        if run.refusals:
            return _payload_problem(run.refusals[0], str(error), error.event_id)
        return ReplayProblem(ProblemKind(error.code), str(error), error.event_id)

    def _surplus(self, run: Run) -> ReplayProblem | None:
        """What the code asks for beyond history: new work, unless it is the failure of an execution that went on."""
        asked = [action for action in run.outcome.actions if not isinstance(action, a.CancelTimer)]
        if not asked or self._replay.ending is not None:
            return None
        last = asked[-1]
        if isinstance(last, a.FailExecution):
            text = f"the workflow fails ({last.failure.type}: {last.failure.message})"
            if run.refusals:
                return _payload_problem(run.refusals[0], text, last.event_id)
            stack = f"\n{last.failure.stack.rstrip()}" if last.failure.stack else ""
            report = (
                "FAILS_NOW: at the end of history the recorded code waits, and today's code raises\n"
                f"  {text}{stack}\n"
                "  next: an instance that stands here would fail with its next turn; mend the code first"
            )
            return ReplayProblem(ProblemKind.FAILS_NOW, report, last.event_id)
        new = [entry.headline for entry in run.entries[-len(asked) :]]
        self.notes.append(f"behind history the code asks for more, as new work: {', '.join(new)}")
        return None

    def _comparison(self) -> ReplayProblem | None:
        """Values that the determinism check leaves alone."""
        recorded = self._replay.recorded()
        for entry in self.transcript:
            known = recorded.get(entry.event_id)
            if known is None or known.kind != entry.kind:
                continue
            kind = ProblemKind.RESULT_DIFFERS if entry.kind in ("result", "failure") else ProblemKind.INPUT_DIFFERS
            is_wanted = (
                self._options.check_results if kind is ProblemKind.RESULT_DIFFERS else self._options.check_inputs
            )
            found = differences([known], [entry]) if is_wanted else []
            if found and not _is_cut(found[0]):
                return _value_problem(kind, found[0])
        return None

    def _first_time(self, run: Run) -> ReplayProblem | None:
        """Replays again, told that it runs for the first time; a difference may also come from anywhere else."""
        if not self._options.check_first_time:
            return None
        fresh = self._replay.run(is_first_time=True)
        found = next(iter(differences(_without_statuses(run.entries), _without_statuses(fresh.entries))), None)
        if found is None:
            return None
        other = next(iter(differences(run.entries, self._replay.run().entries)), None)
        return _branch_problem(found) if other is None else _unstable_problem(other)


def _payload_problem(refusal: PayloadError, effect: str, event_id: int) -> ReplayProblem:
    text = (
        f"PAYLOAD_REFUSED: {refusal}\n"
        f"  so: {effect}\n"
        "  next: give new fields a default and keep reading old forms, or branch with ctx.is_patched(id)\n"
        "  why:  tenuto explain TEN285"
    )
    return ReplayProblem(ProblemKind.PAYLOAD_REFUSED, text, event_id)


def _branch_problem(found: Difference) -> ReplayProblem:
    replaying, first = found.sides()
    text = (
        "BRANCHES_ON_REPLAY: the code asks for something else while ctx.is_replaying is False\n"
        f"  {_place(found)}\n"
        f"  replaying:  {replaying}\n"
        f"  first time: {first}\n"
        "  next: never let ctx.is_replaying decide what a workflow does; ctx.logger is silent while replaying\n"
        "  why:  tenuto explain TEN231"
    )
    return ReplayProblem(ProblemKind.BRANCHES_ON_REPLAY, text, found.where.event_id)


def _unstable_problem(found: Difference) -> ReplayProblem:
    once, again = found.sides()
    text = (
        "UNSTABLE: two replays, one after another, ask for different things\n"
        f"  {_place(found)}\n"
        f"  once:  {once}\n"
        f"  again: {again}\n"
        f"  next: {_SEARCH}"
    )
    return ReplayProblem(ProblemKind.UNSTABLE, text, found.where.event_id)


def _place(found: Difference) -> str:
    return f"{found.where.headline}{f', {found.field}' if found.field else ''}"


def _value_problem(kind: ProblemKind, found: Difference) -> ReplayProblem:
    recorded, attempted = found.sides()
    place = found.right if found.right is not None else found.where
    lines = [
        f"{kind.value}: {kind.meaning}",
        f"  {place.headline}, {found.field}",
        f"  recorded: {recorded}",
        f"  now:      {attempted}",
    ]
    is_order = (
        found.left is not None
        and found.right is not None
        and same_json(found.left.values.get(found.field), found.right.values.get(found.field))
    )
    if is_order:
        lines.append("  they differ only in the order of keys")
    lines.append(f"  next: if that was not meant, {_SEARCH}")
    return ReplayProblem(kind, "\n".join(lines), place.event_id)


def _is_cut(found: Difference) -> bool:
    """Whether a long failure message was cut when it was recorded, so that it cannot be compared."""
    texts = [entry.values.get(found.field) or "" for entry in (found.left, found.right) if entry is not None]
    return found.where.kind == "failure" and any("characters left out" in text for text in texts)


def _without_statuses(entries: list[Entry]) -> list[Entry]:
    """What is shown may depend on whether the code replays: nobody reads it while it does."""
    return [entry for entry in entries if entry.kind != "custom status"]
