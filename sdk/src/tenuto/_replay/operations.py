"""The operations of one execution: what its code asked for, and what that is waiting for.

The context writes here, the executor reads: new operations enter `request`, history confirms them in order through
`confirm`, what stays unconfirmed is what the turn asks of the engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Set
from inspect import currentframe
from typing import TYPE_CHECKING, Any

from tenuto._payloads import Payloads
from tenuto._replay import actions, comparison, events
from tenuto._replay.definitions import CallInfo
from tenuto._replay.observing import Observer
from tenuto._replay.tasks import CancellableTask, SettableTask
from tenuto.errors import WorkflowSignal

if TYPE_CHECKING:
    from tenuto._replay.stepping import StepWatch

_sources: dict[tuple[str, int], str] = {}


class InstanceDropped(WorkflowSignal):
    """Raised into code of a live instance that is being dropped from memory: it must not ask for anything more."""


class PayloadTask(SettableTask[Any]):
    """Waits for an operation whose result is a payload, and decodes it by the annotation of the target."""

    __slots__ = ("_annotation", "_what")

    def __init__(self, annotation: Any, what: str) -> None:
        super().__init__()
        self._annotation = annotation
        self._what = what

    @property
    def annotation(self) -> Any:
        """The type that the result is decoded as."""
        return self._annotation

    @property
    def what(self) -> str:
        """How an error calls the result."""
        return self._what

    def settle_failed(self, failure: events.Failure, error: BaseException) -> None:
        """Takes note of a failure; retried operations begin another attempt instead of failing."""
        self.fail(error)


class EventTask(CancellableTask[Any]):
    """Waits for one external event, and perhaps for a timer that ends the wait."""

    __slots__ = ("annotation", "timer", "what")

    def __init__(self, operations: Operations, key: str, annotation: Any, what: str) -> None:
        super().__init__(lambda: operations.give_up(key, self))
        self.annotation = annotation
        self.what = what
        self.timer: CancellableTask[None] | None = None


class ExecutionInfo:
    """Who runs: the identity of an execution.

    `seed_id` is what deterministic ids and random numbers grow from; a rerun keeps that of its source.
    """

    __slots__ = ("execution_id", "instance_id", "name", "parent_id", "seed_id", "version")

    def __init__(self, instance_id: str, execution_id: str, *, started: events.ExecutionStarted, variant: str) -> None:
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.name = started.name
        self.version = variant or started.version
        self.parent_id = started.parent.instance_id if started.parent is not None else None
        self.seed_id = f"{started.instance_id}/{started.execution_id}"


class Operations:
    """Open operations, buffered events, patches and the clock of one execution.

    `confirmed`: while replaying, the last few that history confirmed. `inputs_differ_at`: operations whose input may
    differ from the recorded one; None: those of all may.
    """

    # As of the executor.
    __slots__ = (
        "_last_id",
        "_received",
        "_unread",
        "_waiting",
        "activities",
        "confirmed",
        "custom_status",
        "info",
        "inputs_differ_at",
        "is_closed",
        "is_replaying",
        "next_input",
        "now_ms",
        "observer",
        "open",
        "payloads",
        "unconfirmed",
        "watch",
    )

    def __init__(self, info: ExecutionInfo, payloads: Payloads, activities: Mapping[str, CallInfo]) -> None:
        self.info = info
        self.payloads = payloads
        self.activities = activities
        self.now_ms = 0
        self.is_replaying = True
        self.is_closed = False
        self.unconfirmed: deque[actions.Action] = deque()
        self.open: dict[int, SettableTask[Any]] = {}
        self.custom_status: bytes | None = None
        self.next_input: actions.ContinueAsNew | None = None
        self.inputs_differ_at: Set[int] | None = None
        self.confirmed: deque[actions.Action] | None = None
        self.watch: StepWatch | None = None
        self.observer: Observer | None = None
        self._last_id = 0
        self._waiting: dict[str, deque[EventTask]] = {}
        self._unread: dict[str, deque[tuple[int, events.EventRaised]]] = {}
        self._received = 0

    def next_id(self) -> int:
        """The number of the next operation, from 1."""
        if self.is_closed:
            raise InstanceDropped("the execution has ended or was dropped from memory")
        self._last_id += 1
        return self._last_id

    def request(self, action: actions.Action, task: SettableTask[Any] | None) -> None:
        """Asks for an operation; `task` completes with it."""
        self._ask(action)
        if task is not None:
            self.open[action.event_id] = task

    def confirm(self, recorded: comparison.RecordedOperation) -> None:
        """Holds a recorded operation against the next one that the code asked for.

        Raises:
            Difference: they differ.
        """
        unconfirmed = self.unconfirmed
        while unconfirmed:
            attempted = unconfirmed.popleft()
            if comparison.is_match(recorded, attempted):
                if self.inputs_differ_at is not None and recorded.event_id not in self.inputs_differ_at:
                    self._compare_inputs(recorded, attempted)
                if self.confirmed is not None:
                    self.confirmed.append(attempted)
                return
            if not isinstance(attempted, actions.CancelTimer):  # A cancellation leaves no record.
                raise comparison.Difference(recorded, attempted)
        raise comparison.Difference(recorded, None)

    def _compare_inputs(self, recorded: comparison.RecordedOperation, attempted: actions.Action) -> None:
        field = comparison.changed_field(recorded, attempted, self.payloads)
        if field:
            raise comparison.Difference(recorded, attempted, field)

    def first_unconfirmed(self) -> actions.Action | None:
        """The oldest operation that history should confirm next, if any."""
        return next((each for each in self.unconfirmed if not isinstance(each, actions.CancelTimer)), None)

    def create_timer(self, due_at_ms: int, source: str) -> CancellableTask[None]:
        """Asks for a timer."""
        event_id = self.next_id()
        task: CancellableTask[None] = CancellableTask(lambda: self._cancel_timer(event_id))
        self.request(actions.CreateTimer(event_id, due_at_ms, source), task)
        return task

    def _cancel_timer(self, event_id: int) -> None:
        if self.is_closed:
            raise InstanceDropped("the execution has ended or was dropped from memory")
        if self.open.pop(event_id, None) is not None:
            self._ask(actions.CancelTimer(event_id))

    def _ask(self, action: actions.Action) -> None:
        self.unconfirmed.append(action)
        if self.observer is not None:
            self.observer.asked(action)

    def show(self, custom_status: bytes | None) -> None:
        """Sets the custom status that goes with this turn."""
        self.custom_status = custom_status
        if self.observer is not None and custom_status is not None:
            self.observer.showed(custom_status)

    def receive(self, event: events.EventRaised) -> None:
        """Gives an external event to who waits for its name, without case, else keeps it."""
        key = event.name.casefold()
        waiting = self._waiting.get(key)
        if waiting:
            self._deliver(waiting.popleft(), event)
        else:
            self._received += 1
            self._unread.setdefault(key, deque()).append((self._received, event))

    def wait_for(self, name: str, annotation: Any) -> EventTask:
        """A task for the next event of that name; complete at once where one is unread."""
        if self.is_closed:
            raise InstanceDropped("the execution has ended or was dropped from memory")
        key = name.casefold()
        task = EventTask(self, key, annotation, f"event '{name}'")
        unread = self._unread.get(key)
        if unread:
            self._deliver(task, unread.popleft()[1])
        else:
            self._waiting.setdefault(key, deque()).append(task)
        return task

    def give_up(self, key: str, task: EventTask) -> None:
        """Takes a wait out of the queue, and its timer with it."""
        waiting = self._waiting.get(key)
        if waiting is not None and task in waiting:
            waiting.remove(task)
        if task.timer is not None:
            task.timer.cancel()

    def awaited_events(self) -> list[str]:
        """Names of the events that the code waits for, without case, in the order in which it began to."""
        return [name for name, waiting in self._waiting.items() for task in waiting if not task.is_complete]

    def unread_events(self) -> list[events.EventRaised]:
        """Events that nobody waited for, oldest first."""
        numbered = [entry for queue in self._unread.values() for entry in queue]
        return [event for _, event in sorted(numbered, key=lambda entry: entry[0])]

    def _deliver(self, task: EventTask, event: events.EventRaised) -> None:
        if task.timer is not None:
            task.timer.cancel()
        self.settle(task, event.payload, annotation=task.annotation, what=task.what)

    def settle(self, task: SettableTask[Any], payload: bytes | None, *, annotation: Any, what: str) -> None:
        """Completes a task with a decoded payload; one that does not fit its annotation fails the task."""
        try:
            value = self.payloads.load(payload, annotation, what=what)
        except ValueError as error:
            task.fail(error)
        else:
            task.complete(value)


def source_files(source: str) -> list[str]:
    """The files that lines known as `source` are of, with their whole paths; none where it was recorded elsewhere."""
    return sorted({file for (file, _), known in _sources.items() if known == source})


def source_of(file: str, line: int) -> str:
    """A line of code as history records it: with the last folder alone, so that it is the same on every machine."""
    short = "/".join(file.replace("\\", "/").split("/")[-2:])
    return f"{short}:{line}"


def caller_source(depth: int) -> str:
    """The line of user code that asked for something, as "folder/file.py:12"; `depth` counts SDK frames above it."""
    frame = currentframe()
    for _ in range(depth):
        frame = frame.f_back if frame is not None else None
    if frame is None:
        return ""
    key = (frame.f_code.co_filename, frame.f_lineno)
    source = _sources.get(key)
    if source is None:
        source = _sources[key] = source_of(*key)
    return source
