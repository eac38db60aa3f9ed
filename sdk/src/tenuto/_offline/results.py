"""What a replay found, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tenuto._offline.sensitivity import Sensitivity, describe
from tenuto._offline.transcripts import Entry
from tenuto.errors import ReplayFailed


class ProblemKind(StrEnum):
    """What is wrong with a replay."""

    NON_DETERMINISTIC = "NON_DETERMINISTIC"
    UNEXPECTED_ACTIVITY = "UNEXPECTED_ACTIVITY"
    GUARD_REFUSED = "GUARD_REFUSED"
    NOT_REGISTERED = "NOT_REGISTERED"
    PAYLOAD_REFUSED = "PAYLOAD_REFUSED"
    FAILS_NOW = "FAILS_NOW"
    RESULT_DIFFERS = "RESULT_DIFFERS"
    INPUT_DIFFERS = "INPUT_DIFFERS"
    BRANCHES_ON_REPLAY = "BRANCHES_ON_REPLAY"
    HANGS = "HANGS"
    UNREADABLE = "UNREADABLE"
    UNSTABLE = "UNSTABLE"

    @property
    def meaning(self) -> str:
        """One line for people."""
        return _MEANINGS[self]


# Their text is that of the error with which a worker refuses the turn.
_STALLING = (ProblemKind.NON_DETERMINISTIC, ProblemKind.UNEXPECTED_ACTIVITY, ProblemKind.GUARD_REFUSED)
_MEANINGS = {
    ProblemKind.NON_DETERMINISTIC: "the code asks for something else than history records",
    ProblemKind.UNEXPECTED_ACTIVITY: "the code calls another activity than history records",
    ProblemKind.GUARD_REFUSED: "the code does what no replay can repeat",
    ProblemKind.NOT_REGISTERED: "no such workflow is registered",
    ProblemKind.PAYLOAD_REFUSED: "a recorded payload can no longer be decoded",
    ProblemKind.FAILS_NOW: "the code fails where the recorded code waited",
    ProblemKind.RESULT_DIFFERS: "the execution ends with another result",
    ProblemKind.INPUT_DIFFERS: "an operation is asked for with another input",
    ProblemKind.BRANCHES_ON_REPLAY: "the code does something else while replaying",
    ProblemKind.HANGS: "the replay does not end",
    ProblemKind.UNREADABLE: "the history cannot be read",
    ProblemKind.UNSTABLE: "the replay depends on its surroundings",
}


@dataclass(frozen=True, slots=True)
class ReplayProblem:
    """Why today's code does not fit a history.

    Args:
        kind: what is wrong.
        text: the full report, several lines; what a worker would log of the same, where it would refuse the turn.
        operation: the number of the operation where it shows, 0 where there is none.
    """

    kind: ProblemKind
    text: str
    operation: int = 0


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What replaying one history found.

    Args:
        source: the file, or what else the history came from; may be empty.
        instance_id: the instance.
        workflow: the workflow's name; empty where the history could not be read.
        version: the version the execution began on.
        event_count: events in history.
        turn_count: turns in history.
        is_open: whether the recorded execution had not ended.
        problem: None where the code fits.
        notes: facts worth knowing that are no problem, such as operations that the code asks for beyond history.
        transcript: everything the code asked for, in order.
        sensitivities: the perturbations that change what the code asks for; empty where none does, or none was tried.
    """

    source: str
    instance_id: str = ""
    workflow: str = ""
    version: str = ""
    event_count: int = 0
    turn_count: int = 0
    is_open: bool = False
    problem: ReplayProblem | None = None
    notes: tuple[str, ...] = ()
    transcript: tuple[Entry, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether today's code fits this history."""
        return self.problem is None

    @property
    def label(self) -> str:
        """What to call the history: its instance, or its source where that is not known."""
        return self.instance_id or self.source or "a history"

    def report(self) -> str:
        """The finding as text: what was replayed, what is wrong, what else is worth knowing."""
        head = f"history of {self.label}"
        if self.workflow:
            head += f", workflow '{self.workflow}'"
        if self.source and self.source != self.label:
            head += f" ({self.source})"
        lines = [head]
        if self.problem is None:
            lines.append(f"fits: {self.event_count} events in {self.turn_count} turns")
        else:
            if self.problem.kind in _STALLING:
                lines.append("a worker with this code would refuse its next replay, and the instance would stall:")
            lines.append(self.problem.text)
        if self.sensitivities and (self.problem is None or self.problem.kind is not ProblemKind.UNSTABLE):
            lines.append(describe(self.sensitivities))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def perturbed(self, sensitivities: tuple[Sensitivity, ...]) -> ReplayResult:
        """The same with what perturbation found: the problem itself, or the likely cause of another one."""
        problem = self.problem
        if sensitivities and (problem is None or problem.kind is ProblemKind.UNSTABLE):
            operation = sensitivities[0].difference.where.event_id
            problem = ReplayProblem(ProblemKind.UNSTABLE, describe(sensitivities), operation)
        return replace(self, problem=problem, sensitivities=sensitivities)

    def raise_for_problem(self) -> None:
        """Does nothing where the code fits.

        Raises:
            ReplayFailed: it does not; the message is the report.
        """
        __tracebackhide__ = True
        if self.problem is not None:
            raise ReplayFailed(self.report())

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values, without the transcript."""
        problem = self.problem
        return {
            "source": self.source,
            "instance_id": self.instance_id,
            "workflow": self.workflow,
            "version": self.version,
            "events": self.event_count,
            "turns": self.turn_count,
            "open": self.is_open,
            "ok": self.is_ok,
            "problem": None
            if problem is None
            else {"kind": problem.kind.value, "operation": problem.operation, "text": problem.text},
            "notes": list(self.notes),
            "perturbations": [one.to_json() for one in self.sensitivities],
        }
