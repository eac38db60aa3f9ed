"""The executor: one live execution, stepped event by event.

Rules:

* Events are applied one at a time, in the order of history; after each, the code runs until it waits again.
* Received events complete tasks. Recorded operations are held against what the code asked for (`comparison`).
* `history` is replayed with `is_replaying` true, `new_events` with false; both by the same code.
* What the code asked for and history does not confirm is the turn's answer. A turn recorded in part (it was too large
  for one commit) therefore answers with the rest, without error; but once history goes on with another received event,
  an unconfirmed operation is one.
* After the code ended, nothing is applied any more.

Nothing here raises into the caller but `UnknownWorkflow`: differences from history, and what the watch refuses, are
part of the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from tenuto._payloads import Payloads
from tenuto._replay import actions, comparison, events
from tenuto._replay.alignment import NEIGHBOURS
from tenuto._replay.context import ReplayContext
from tenuto._replay.definitions import CallInfo
from tenuto._replay.failures import from_exception, to_details
from tenuto._replay.observing import Observer
from tenuto._replay.operations import ExecutionInfo, Operations, PayloadTask
from tenuto._replay.patches import Patches
from tenuto._replay.report import make_error
from tenuto._replay.scene import Investigator, Scene
from tenuto._replay.stepping import Raised, Returned, SteppedCode, StepWatch
from tenuto.errors import GuardViolation, NonDeterminismError, PayloadError, TaskFailedError, TenutoError

_NOTHING_RERUN: frozenset[int] = frozenset()


class UnknownWorkflow(TenutoError):
    """No workflow of this name, or no such variant of it, is registered here."""


class WorkflowCode(msgspec.Struct, frozen=True):
    """A registered workflow function and how to call it. `variant` is empty where it is not versioned."""

    function: Callable[..., Any]
    takes_input: bool
    input_type: Any
    variant: str = ""


class Definitions(Protocol):
    """What the executor asks of the registry."""

    @property
    def activities(self) -> Mapping[str, CallInfo]:
        """Registered activities by name."""
        ...

    def workflow(self, name: str, variant: str | None) -> WorkflowCode:
        """The code of a workflow; None as variant means the latest. Raises `UnknownWorkflow`."""
        ...

    def code_hash(self, code: WorkflowCode) -> str:
        """Names what the function's code is, in 16 hex digits; another one where the code was changed."""
        ...

    def make_context(self, operations: Operations, patches: Patches) -> ReplayContext:
        """The context to give to the code."""
        ...


class TurnOutcome(msgspec.Struct, frozen=True):
    """What a turn asks of the engine. `problem` is set where it may not be recorded; then the rest is empty.

    `code_hash`: of the workflow's code, where this history did not record it last.
    """

    actions: list[actions.Action] = []
    custom_status: bytes | None = None
    patches: list[str] = []
    is_finished: bool = False
    code_hash: str = ""
    problem: NonDeterminismError | GuardViolation | None = None


class Executor:
    """A live execution of one workflow instance.

    Args:
        instance_id: the instance.
        execution_id: this life of it.
        definitions: the code.
        payloads: how payloads are read and written.
        check_inputs: whether operations must be asked for with what history records, too.
        investigator: who tells more about the code where it differs from history; None: nobody.
        watch: told of each step of the code; None: nobody is.
        observer: is told what happens; None: nobody is.
    """

    # Thousands are kept: slots save each of them a dictionary.
    __slots__ = (
        "_check_inputs",
        "_code",
        "_continuation",
        "_definition",
        "_definitions",
        "_execution_id",
        "_instance_id",
        "_investigator",
        "_is_finished",
        "_is_replaying",
        "_may_lack_record",
        "_now_ms",
        "_observer",
        "_operations",
        "_patches",
        "_payloads",
        "_recorded_hash",
        "_rerun",
        "_watch",
    )

    def __init__(
        self,
        instance_id: str,
        execution_id: str,
        *,
        definitions: Definitions,
        payloads: Payloads,
        watch: StepWatch | None = None,
        check_inputs: bool = False,
        investigator: Investigator | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._instance_id = instance_id
        self._execution_id = execution_id
        self._definitions = definitions
        self._payloads = payloads
        self._observer = observer
        self._patches = Patches()
        self._watch = watch
        self._code = SteppedCode(watch)
        self._check_inputs = check_inputs
        self._investigator = investigator
        self._definition: WorkflowCode | None = None
        self._recorded_hash = ""
        self._rerun = _NOTHING_RERUN
        self._operations: Operations | None = None
        self._is_finished = False
        self._is_replaying = True
        self._now_ms = 0
        self._may_lack_record = False
        self._continuation: actions.ContinueAsNew | None = None

    def run(self, history: Sequence[events.Event], new_events: Sequence[events.Event]) -> TurnOutcome:
        """Replays `history`, then applies `new_events`; returns what the code asks for beyond what is recorded.

        Raises:
            UnknownWorkflow: the workflow is not registered here.
        """
        try:
            if history:
                if self._check_inputs:
                    # A rerun may have given its operation another input.
                    self._rerun = frozenset(e.event_id for e in history if isinstance(e, events.RerunStarted))
                self._set_replaying(True)
                self._apply(history)
                self._leave_history()
            self._set_replaying(False)
            self._apply(new_events)
        except comparison.Difference as difference:
            return TurnOutcome(problem=self._explain(difference, [*history, *new_events]))
        except GuardViolation as refusal:
            return TurnOutcome(problem=refusal)
        operations = self._operations
        if operations is None:
            return TurnOutcome()
        asked = list(operations.unconfirmed)
        operations.unconfirmed.clear()
        status, operations.custom_status = operations.custom_status, None
        return TurnOutcome(asked, status, self._patches.drain(), self._is_finished, self._unrecorded_hash(new_events))

    @property
    def awaited_events(self) -> list[str]:
        """Names of the events that the code waits for now."""
        operations = self._operations
        return [] if operations is None or self._is_finished else operations.awaited_events()

    @property
    def open_operations(self) -> list[int]:
        """Numbers of the operations that have no outcome and were not cancelled."""
        operations = self._operations
        return [] if operations is None or self._is_finished else list(operations.open)

    def close(self) -> None:
        """Drops the execution from memory: its code gets no chance to ask for anything more."""
        if self._operations is not None:
            self._operations.is_closed = True
        self._code.close()

    def _set_replaying(self, is_replaying: bool) -> None:
        self._is_replaying = is_replaying
        if self._operations is not None:
            self._operations.is_replaying = is_replaying

    def _apply(self, batch: Sequence[events.Event]) -> None:
        event: events.Event | None = None
        observer = self._observer
        try:
            for event in batch:
                if observer is not None:
                    observer.applying(event)
                handler = _HANDLERS.get(type(event))
                if handler is not None:
                    handler(self, event)
                if observer is not None:
                    observer.applied(event, self._code)
        except comparison.Difference as difference:
            difference.met_at = event
            raise

    def _leave_history(self) -> None:
        """What replayed turns set was recorded with them, unless the last turn is recorded in part."""
        operations = self._operations
        if operations is None:
            return
        operations.confirmed = None
        if operations.first_unconfirmed() is None:
            operations.custom_status = None
            self._patches.drain()

    def _unrecorded_hash(self, new_events: Sequence[events.Event]) -> str:
        """The code's hash, where the turn that ends is to record it: not in one that finishes an earlier turn."""
        definition = self._definition
        own = "" if definition is None else self._definitions.code_hash(definition)
        if own == self._recorded_hash or not new_events:
            return ""
        self._recorded_hash = own
        return own

    def _explain(self, difference: comparison.Difference, history: Sequence[events.Event]) -> NonDeterminismError:
        operations, definition, attempted = self._operations, self._definition, difference.attempted
        assert operations is not None, "its operations found the difference"
        assert definition is not None, "they are those of a workflow"
        rest = (each for each in operations.unconfirmed if each is not attempted)
        asked = [] if attempted is None else [attempted, *(e for e in rest if not isinstance(e, actions.CancelTimer))]
        scene = Scene(
            instance_id=self._instance_id,
            execution_id=self._execution_id,
            workflow=operations.info.name,
            function=definition.function,
            code_hash=self._definitions.code_hash(definition),
            history=history,
            position=next(i for i, event in enumerate(history) if event is difference.met_at),
            difference=difference,
            confirmed=list(operations.confirmed or ()),
            asked=asked,
            waits_at=self._code.place(),
        )
        return make_error(scene, self._investigator)

    # -- received events

    def turn_started(self, event: events.TurnStarted) -> None:
        """The clock moves; a replayed turn before this one should have its record."""
        self._now_ms = event.at_ms
        self._patches.record(event.patches)
        if event.code_hash:
            self._recorded_hash = event.code_hash
        operations = self._operations
        if operations is None:
            return
        operations.now_ms = event.at_ms
        if self._is_replaying and operations.unconfirmed:
            if operations.first_unconfirmed() is None:
                operations.unconfirmed.clear()  # Cancellations of a turn that is recorded whole.
            else:
                self._may_lack_record = True

    def execution_started(self, event: events.ExecutionStarted) -> None:
        """The code begins."""
        if self._operations is not None:
            return
        recorded = self._patches.variant
        code = self._definitions.workflow(event.name, recorded)
        if code.variant and recorded is None and not self._is_replaying:
            self._patches.take_variant(code.variant)
        info = ExecutionInfo(self._instance_id, self._execution_id, started=event, variant=code.variant)
        operations = Operations(info, self._payloads, self._definitions.activities)
        operations.watch = self._watch
        operations.now_ms = self._now_ms
        operations.is_replaying = self._is_replaying
        operations.observer = self._observer
        operations.inputs_differ_at = self._rerun if self._check_inputs else None
        operations.confirmed = deque(maxlen=NEIGHBOURS) if self._is_replaying else None
        self._operations, self._definition = operations, code
        context = self._definitions.make_context(operations, self._patches)
        self._code.begin(lambda: self._prepare(code, event, context))
        self._note_ending(operations)

    def completed(self, event: events.ActivityCompleted | events.ChildCompleted) -> None:
        """An activity or child gave its result."""
        operations = self._receiver()
        task = None if operations is None else operations.open.pop(event.event_id, None)
        if operations is not None and isinstance(task, PayloadTask):
            operations.settle(task, event.result, annotation=task.annotation, what=task.what)
            self._advance(operations)

    def failed(self, event: events.ActivityFailed | events.ChildFailed) -> None:
        """An activity or child failed for good."""
        operations = self._receiver()
        task = None if operations is None else operations.open.pop(event.event_id, None)
        if operations is not None and isinstance(task, PayloadTask):
            details = to_details(event.failure)
            what = task.what.removeprefix("result of ")
            task.settle_failed(event.failure, TaskFailedError(f"{what} failed: {details.headline}", details))
            self._advance(operations)

    def timer_fired(self, event: events.TimerFired) -> None:
        """A timer is due."""
        operations = self._receiver()
        task = None if operations is None else operations.open.pop(event.event_id, None)
        if operations is not None and task is not None:
            task.complete(None)
            self._advance(operations)

    def event_raised(self, event: events.EventRaised) -> None:
        """An external event arrived."""
        operations = self._receiver()
        if operations is not None:
            operations.receive(event)
            self._advance(operations)
        elif self._continuation is not None:
            # It came in the very turn in which the code continued as new: the next execution's to read.
            self._continuation.carryover.append(event)

    def _receiver(self) -> Operations | None:
        """The operations, where the code still takes received events."""
        operations = self._operations
        if self._may_lack_record and operations is not None:
            self._may_lack_record = False
            attempted = operations.first_unconfirmed() if self._is_replaying else None
            if attempted is not None:
                raise comparison.Difference(None, attempted)
        return None if self._is_finished else operations

    # -- recorded operations

    def recorded(self, event: comparison.RecordedOperation) -> None:
        """History's next operation, which must be the code's."""
        if self._operations is not None:
            self._operations.confirm(event)

    def execution_failed(self, event: events.ExecutionFailed) -> None:
        """The code's own failure is compared; a limit of the engine may have ended code that would go on."""
        if self._is_finished and event.failure.type != "LimitExceeded":
            self.recorded(event)

    # -- the code

    def _prepare(self, code: WorkflowCode, event: events.ExecutionStarted, context: ReplayContext) -> Callable[[], Any]:
        if not code.takes_input:
            return partial(code.function, context)
        what = f"input of workflow '{event.name}'"
        return partial(code.function, context, self._payloads.load(event.input, code.input_type, what=what))

    def _advance(self, operations: Operations) -> None:
        self._code.advance()
        self._note_ending(operations)

    def _note_ending(self, operations: Operations) -> None:
        ending = self._code.ending
        if ending is None:
            return
        event_id = operations.next_id()
        operations.request(self._final_action(operations, ending, event_id), None)
        operations.is_closed = True
        operations.open.clear()
        self._is_finished = True

    def _final_action(self, operations: Operations, ending: Returned | Raised, event_id: int) -> actions.Action:
        if isinstance(ending, Raised):
            return actions.FailExecution(event_id, from_exception(ending.error))
        following = operations.next_input
        if following is not None:
            kept = list(operations.unread_events()) if following.keep_events else []
            continuation = actions.ContinueAsNew(
                event_id, following.input, following.keep_events, following.version, carryover=kept
            )
            self._continuation = continuation if following.keep_events else None
            return continuation
        try:
            result = self._payloads.dump(ending.value, what=f"result of workflow '{operations.info.name}'")
        except PayloadError as error:
            return actions.FailExecution(event_id, from_exception(error))
        return actions.CompleteExecution(event_id, result)


# Events that are missing here change nothing for the code: suspended, resumed, terminated, rerun, woken up.
_HANDLERS: dict[type, Callable[[Executor, Any], None]] = {
    events.TurnStarted: Executor.turn_started,
    events.ExecutionStarted: Executor.execution_started,
    events.ActivityScheduled: Executor.recorded,
    events.ActivityCompleted: Executor.completed,
    events.ActivityFailed: Executor.failed,
    events.TimerCreated: Executor.recorded,
    events.TimerFired: Executor.timer_fired,
    events.EventRaised: Executor.event_raised,
    events.EventSent: Executor.recorded,
    events.ChildCreated: Executor.recorded,
    events.ChildCompleted: Executor.completed,
    events.ChildFailed: Executor.failed,
    events.ExecutionCompleted: Executor.recorded,
    events.ExecutionFailed: Executor.execution_failed,
}
