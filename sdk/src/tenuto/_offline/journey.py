"""A replay to step through: after each event of history, where the code stands and what its variables hold.

Frames are looked at while the generator or coroutine is suspended, so nothing is traced and nothing slowed down. A
variable is shown by its `repr`, cut; one that raises is shown by its class.
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from reprlib import Repr
from types import FrameType
from typing import Any, Final

from tenuto._offline.replaying import Code, HistoryReplay
from tenuto._offline.transcripts import Recorder
from tenuto._replay import events as e
from tenuto._replay.context import ReplayContext
from tenuto._replay.executor import UnknownWorkflow
from tenuto._replay.operations import EventTask, PayloadTask, source_of
from tenuto._replay.stepping import Raised, SteppedCode
from tenuto._replay.tasks import CancellableTask, Task
from tenuto._trace.content import content, moment_text, subject
from tenuto._wire.history import HistoryEvent, WorkflowHistory

_AROUND: Final = 12
_MAX_TEXT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Variable:
    """A local variable: its value as text, and whether that is new since the event before."""

    name: str
    text: str
    is_changed: bool


@dataclass(frozen=True, slots=True)
class CodeFrame:
    """One function that waits.

    Args:
        function: its qualified name.
        source: its line, as "folder/file.py:12".
        line: the number of that line.
        lines: the source around it, with numbers; empty where the file cannot be read.
        variables: in the order in which they were first set.
    """

    function: str
    source: str
    line: int
    lines: tuple[tuple[int, str], ...]
    variables: tuple[Variable, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """The replay after one event.

    Args:
        key: the event's record.
        turn: its turn, from 1.
        at: the turn's time.
        event: its type.
        about: what it is about, and what it carries.
        asked: what the code asked for because of it.
        standing: what the code waits for, or how it ended.
        frames: where it waits, the workflow function first; empty where it has ended or not begun.
    """

    key: str
    turn: int
    at: str
    event: str
    about: str
    asked: tuple[str, ...]
    standing: str
    frames: tuple[CodeFrame, ...]


@dataclass(frozen=True, slots=True)
class Journey:
    """All stops of a replay in order; `problem` is the report of where code and history part, if they do."""

    instance_id: str
    workflow: str
    stops: tuple[Stop, ...]
    problem: str = ""


def travel(code: Code, history: WorkflowHistory) -> Journey:
    """Replay a history, and keep what it looks like after each event.

    Raises:
        UnknownWorkflow: the workflow is not registered, or the history does not say which it is.
    """
    started = history.started
    if started is None:
        raise UnknownWorkflow(f"the history of '{history.instance_id}' does not hold the start of the workflow")
    replay = HistoryReplay(code, history)
    recorder = _StopRecorder(replay, history)
    outcome = replay.run(recorder=recorder).outcome
    problem = "" if outcome.problem is None else str(outcome.problem)
    if problem:
        recorder.part(problem.splitlines()[0])
    return Journey(history.instance_id, started.name, tuple(recorder.stops), problem)


class _StopRecorder(Recorder):
    """Makes a stop of each event."""

    def __init__(self, replay: HistoryReplay, history: WorkflowHistory) -> None:
        super().__init__()
        self.stops: list[Stop] = []
        self._replay = replay
        self._names = {
            number: name
            for item in history
            if (number := item.event_id) is not None and isinstance(name := getattr(item.event, "name", None), str)
        }
        self._items = iter(history)
        self._item: HistoryEvent | None = None
        self._known: dict[tuple[int, str, str], str] = {}
        self._seen = 0

    def applying(self, event: e.Event) -> None:
        """The next event; those that this release does not know were left out of the replay."""
        super().applying(event)
        self._item = next((item for item in self._items if item.event is event), None)

    def applied(self, event: e.Event, code: SteppedCode) -> None:
        """The code waits again, or has ended."""
        self._add(_standing(code), tuple(self._frame(frame, depth) for depth, frame in enumerate(code.frames())))

    def part(self, text: str) -> None:
        """The stop of the event that does not fit."""
        self._add(text, ())

    def _add(self, standing: str, frames: tuple[CodeFrame, ...]) -> None:
        item = self._item
        assert item is not None, "history tells what it applies"
        shown = HistoryEvent(item.index, item.turn, item.at, self._replay.plain(item.event))  # type: ignore[arg-type]  # unknown ones are not replayed
        about = "  ".join(filter(None, (subject(shown, self._names), content(shown.event))))
        asked = tuple(entry.headline for entry in self.entries[self._seen :])
        self._seen = len(self.entries)
        at = "" if item.at is None else moment_text(item.at)
        self.stops.append(Stop(item.key, item.turn, at, item.type, about[:_MAX_TEXT], asked, standing, frames))

    def _frame(self, frame: FrameType, depth: int) -> CodeFrame:
        code = frame.f_code
        variables: list[Variable] = []
        for name, value in frame.f_locals.items():
            text, key = _shown.repr(value), (depth, code.co_qualname, name)
            variables.append(Variable(name, text, self._known.get(key) != text))
            self._known[key] = text
        lines = linecache.getlines(code.co_filename)
        first = max(1, frame.f_lineno - _AROUND)
        around = enumerate((line.rstrip("\n") for line in lines[first - 1 : frame.f_lineno + _AROUND]), first)
        source = source_of(code.co_filename, frame.f_lineno)
        return CodeFrame(code.co_qualname, source, frame.f_lineno, tuple(around), tuple(variables))


def _standing(code: SteppedCode) -> str:
    if code.ending is not None:
        if isinstance(code.ending, Raised):
            return f"raised {type(code.ending.error).__qualname__}: {_shown.repr(str(code.ending.error))}"
        return f"returned {_shown.repr(code.ending.value)}"
    return "has not begun" if code.waiting is None else f"waits for {_what(code.waiting)}"


def _what(task: Task[Any]) -> str:
    """What a task stands for."""
    if isinstance(task, (PayloadTask, EventTask)):
        return f"the {task.what}"
    if isinstance(task, CancellableTask):
        return "a timer"
    return "the first of several tasks" if "Any" in type(task).__name__ else "several tasks"


class _Shown(Repr):
    """Values as people read them: cut, and what belongs to this package in words."""

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = self.maxother = self.maxlong = 300

    def repr_instance(self, x: Any, level: int) -> str:
        """A task says what it waits for; the context needs no words."""
        if isinstance(x, ReplayContext):
            return "<the context>"
        if not isinstance(x, Task):
            return super().repr_instance(x, level)
        what = _what(x)  # pyright: ignore[reportUnknownArgumentType]  # of whatever result
        if not x.is_complete:
            return f"<task: {what}, not complete>"
        return f"<task: {what}, failed>" if x.is_failed else f"<task: {what}, {self.repr1(x.get_result(), level - 1)}>"


_shown: Final = _Shown()
