"""What an instance has done, as far as its history says and no crash may change it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tenuto._replay import events
from tenuto._wire.history import WorkflowHistory
from tenuto._wire.instances import WorkflowState

_OUTCOMES = (
    events.ActivityCompleted,
    events.ActivityFailed,
    events.TimerFired,
    events.ChildCompleted,
    events.ChildFailed,
)
# What differs where something was tried again: when it happened, at which attempt, in which execution of a child.
_PASSING = ("at_ms", "due_at_ms", "attempt", "source", "failure", "execution_id", "child_execution_id")


@dataclass(frozen=True, slots=True)
class Effects:
    """What an instance asked for, in order, and what each came to.

    Args:
        status: where it stands.
        operations: each as its kind and content.
        outcomes: by the operation's number.
        repeated: numbers of operations that have more than one outcome; there are none.
    """

    status: str
    operations: tuple[str, ...]
    outcomes: dict[int, str]
    repeated: tuple[int, ...]

    @classmethod
    def read(cls, state: WorkflowState, history: WorkflowHistory) -> Effects:
        """Read them from an instance's state and history."""
        outcomes = {item.event.event_id: _text(item.event) for item in history if isinstance(item.event, _OUTCOMES)}
        counted = Counter(item.event.event_id for item in history if isinstance(item.event, _OUTCOMES))
        operations = tuple(
            _text(item.event) for item in history if item.event_id is not None and not isinstance(item.event, _OUTCOMES)
        )
        repeated = tuple(number for number, times in counted.items() if times > 1)
        return cls(state.runtime_status.name, operations, outcomes, repeated)

    def difference(self, other: Effects) -> str:
        """What distinguishes the other from this one, in words; empty where nothing does."""
        if other.repeated:
            return f"operations {other.repeated} have more than one outcome"
        if self.status != other.status:
            return f"it is {other.status}, and was {self.status} without a crash"
        if self.operations != other.operations:
            asked = f"it asked for\n    {_lines(other.operations)}"
            return f"{asked}\n  and without a crash for\n    {_lines(self.operations)}"
        for number, outcome in self.outcomes.items():
            if other.outcomes.get(number) != outcome:
                return f"operation {number} came to {other.outcomes.get(number)}, and without a crash to {outcome}"
        return ""


def _text(event: Any) -> str:
    fields = ", ".join(f"{name}={getattr(event, name)!r}" for name in event.__struct_fields__ if name not in _PASSING)
    return f"{type(event).__name__}({fields})"


def _lines(texts: tuple[str, ...]) -> str:
    return "\n    ".join(texts)
