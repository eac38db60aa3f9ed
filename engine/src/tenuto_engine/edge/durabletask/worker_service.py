"""The worker's half of `TaskHubSidecarService`: work items out on one stream, answers back as separate calls.

A worker's stream is a session of the engine that takes any name, holds no live instance (it replays every turn from the
whole history) and is known by nothing but its stream. Answers are found by the token of the item, or, from SDKs that
do not send it back, by the instance and the task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Generic

import msgspec
import structlog

from tenuto_engine.codec.events import decode_event, encode_actions, encode_failure
from tenuto_engine.core.actions import Action, FailExecution
from tenuto_engine.core.events import Event, ExecutionStarted, Failure, TurnStarted
from tenuto_engine.edge.durabletask import foreign
from tenuto_engine.edge.durabletask.actions import Translator, Unsupported, VersionNotAvailable
from tenuto_engine.edge.durabletask.dialects import DAPR, Dialect
from tenuto_engine.edge.durabletask.history import VARIANT_PREFIX, HistoryRenderer
from tenuto_engine.edge.durabletask.values import failure_of, payload, set_text
from tenuto_engine.edge.handlers import CallContext
from tenuto_engine.ports.inbound import ActivityAnswer, ActivityItem, Hello, Outgoing, TurnAnswer, TurnItem, TurnOutcome
from tenuto_engine.ports.serving import AnySession, WorkerHost

_log = structlog.get_logger(__name__)

# SDKs that watch for silence reconnect after 120 seconds of it.
_PING_SECONDS = 45.0
_HEALTH_PING = 3
# The engine delivers the activities of a lost stream again after a shorter time than this.
_LATE_SECONDS = 60.0
# What SDKs answer for names that they have not registered.
_UNKNOWN_ACTIVITY = ("ActivityNotRegisteredError", "ActivityTaskNotFound")
_UNKNOWN_WORKFLOW = ("OrchestratorNotRegisteredError", "OrchestratorTaskNotFound")
# Custom statuses remembered, so that one that did not change is not written again.
_STATUSES_KEPT = 10_000


class _Dispatched(msgspec.Struct):
    """An item that waits for its answer. `recorded`, `patches`, `variant`, `version`: what its history says."""

    session: Any
    token: str
    instance_id: str
    execution_id: str = ""
    task_id: int = -1
    name: str = ""
    patches: list[str] = []
    variant: str = ""
    version: str = ""
    actions: list[Any] = []


class WorkerEdge(Generic[AnySession]):
    """Serves the workers of one dialect.

    Args:
        engine: whom the sessions belong to.
        dialect: what they speak.
        new_id: makes the id of a session; it never travels.
    """

    def __init__(self, engine: WorkerHost[AnySession], dialect: Dialect, *, new_id: Callable[[], str]) -> None:
        self._engine = engine
        self._dialect = dialect
        self._new_id = new_id
        self._turns: dict[str, _Dispatched] = {}
        self._tasks: dict[str, _Dispatched] = {}
        self._statuses: dict[str, bytes] = {}

    # -- items

    async def work_items(self, request: Any, context: CallContext) -> AsyncIterator[Any]:
        """The stream of one worker, until it goes away."""
        # At once: SDKs wait for the headers before they say that they are connected.
        await context.send_initial_metadata(())
        queued = asyncio.Event()
        session = self._engine.connect(_hello(request, self._dialect, self._new_id()), queued.set)
        ping = self._ping(request)
        chunks: dict[str, list[bytes]] = {}
        try:
            while True:
                if not await _set_in_time(queued):
                    if ping is not None:
                        yield ping
                    continue
                queued.clear()
                while (outgoing := session.take_outgoing()) is not None:
                    for item in self._items(session, outgoing, chunks):
                        yield item
        finally:
            self._engine.disconnect(session)
            self._forget(session)

    def _items(self, session: Any, outgoing: Outgoing, chunks: dict[str, list[bytes]]) -> Iterator[Any]:
        for turn in outgoing.turns:
            if turn.more:
                chunks.setdefault(turn.commit_id, []).extend(turn.history)
            else:
                yield self._turn_item(session, turn, [*chunks.pop(turn.commit_id, ()), *turn.history])
        for activity in outgoing.activities:
            yield self._activity_item(session, activity)

    def _ping(self, request: Any) -> Any:
        """The item that keeps the stream from looking dead, or None for workers that would choke on it."""
        ping = self._dialect.pb.WorkItem()
        if self._dialect is DAPR:
            if _HEALTH_PING not in request.capabilities:
                return None
            ping.healthPing.SetInParent()
            return ping
        if request.ByteSize() == 0:
            return None
        ping.healthPing.SetInParent()
        return ping

    def _forget(self, session: Any) -> None:
        """Turns of a lost stream run elsewhere at once; an activity's answer is still welcome for a while."""
        self._turns = {token: one for token, one in self._turns.items() if one.session is not session}
        asyncio.get_running_loop().call_later(_LATE_SECONDS, self._forget_tasks, session)

    def _forget_tasks(self, session: Any) -> None:
        self._tasks = {token: one for token, one in self._tasks.items() if one.session is not session}

    def _turn_item(self, session: Any, turn: TurnItem, history: list[bytes]) -> Any:
        past = [decode_event(raw) for raw in history]
        fresh = [decode_event(raw) for raw in turn.new_events]
        if not fresh:
            past, fresh = _split_open_turn(past)
        item = self._dialect.pb.WorkItem(completionToken=turn.commit_id)
        request = item.orchestratorRequest
        request.instanceId = turn.instance_id
        request.executionId.value = turn.execution_id
        renderer = HistoryRenderer(self._dialect, turn.instance_id, for_worker=True)
        renderer.render(past, request.pastEvents)
        renderer.render(fresh, request.newEvents)
        self._turns[turn.commit_id] = _Dispatched(
            session,
            turn.commit_id,
            turn.instance_id,
            turn.execution_id,
            name=renderer.workflow,
            patches=renderer.patches,
            variant=renderer.variant,
            version=self._own_version([*past, *fresh]),
        )
        return item

    def _own_version(self, recorded: list[Event]) -> str:
        started = next((event for event in recorded if isinstance(event, ExecutionStarted)), None)
        kept = self._dialect.pb.ExecutionStartedEvent()
        if started is not None:
            foreign.unpack(self._dialect, started.foreign, kept, shared=True)
        version: str = kept.version.value
        return version

    def _activity_item(self, session: Any, activity: ActivityItem) -> Any:
        pb = self._dialect.pb
        item = pb.WorkItem(completionToken=activity.token)
        request = item.activityRequest
        request.name, request.taskId = activity.name, activity.event_id
        set_text(request, "input", activity.input)
        request.orchestrationInstance.instanceId = activity.instance_id
        request.orchestrationInstance.executionId.value = activity.execution_id
        kept = pb.TaskScheduledEvent()
        foreign.unpack(self._dialect, activity.foreign, kept)
        if kept.HasField("version"):
            request.version.CopyFrom(kept.version)
        if activity.trace_parent:
            trace_parent, _, trace_state = activity.trace_parent.partition(" ")
            request.parentTraceContext.traceParent = trace_parent
            if trace_state:
                request.parentTraceContext.traceState.value = trace_state
        if self._dialect is DAPR:
            request.taskExecutionId = kept.taskExecutionId
        else:
            request.tags.update(kept.tags)
        self._tasks[activity.token] = _Dispatched(
            session, activity.token, activity.instance_id, task_id=activity.event_id, name=activity.name
        )
        return item

    # -- answers

    async def complete_turn(self, response: Any, context: CallContext) -> Any:
        """A worker's answer to a turn; one that nobody waits for is dropped, as SDKs expect."""
        one = self._turns.get(response.completionToken)
        if one is None and not response.completionToken:
            one = _found(self._turns, lambda each: each.instance_id == response.instanceId)
        if one is None:
            return self._dialect.pb.CompleteTaskResponse()
        if self._dialect is not DAPR and response.isPartial:
            one.actions.extend(response.actions)
            return self._dialect.pb.CompleteTaskResponse()
        del self._turns[one.token]
        answer = self._answer(one, response)
        self._engine.turn_answered(one.session, answer)
        return self._dialect.pb.CompleteTaskResponse()

    def _answer(self, one: _Dispatched, response: Any) -> TurnAnswer:
        given = [*one.actions, *response.actions]
        if (missing := self._missing_workflow(one, given)) is not None:
            return _failed(one, TurnOutcome.NOT_REGISTERED, missing)
        patches = list(response.version.patches) if self._dialect is DAPR else []
        if one.patches != patches[: len(one.patches)] and one.patches:
            text = f"Patch mismatch. History patches: {one.patches}, current patches: {patches}. "
            return _failed(one, TurnOutcome.NON_DETERMINISTIC, Failure("PATCH_MISMATCH", text, non_retryable=True))
        actions: list[Action]
        try:
            actions = Translator(self._dialect, one.instance_id, self._engine.describe().app, one.version).translate(
                given
            )
        except VersionNotAvailable:
            text = (
                f"no connected worker has version '{one.variant}' of workflow '{one.name}', on which instance "
                f"'{one.instance_id}' began; connect one that has it, then resume the instance"
            )
            failure = Failure("VERSION_NOT_AVAILABLE", text, non_retryable=True)
            return _failed(one, TurnOutcome.NON_DETERMINISTIC, failure)
        except Unsupported as error:
            actions = [FailExecution(0, Failure("NotSupported", str(error), non_retryable=True))]
        fresh = patches[len(one.patches) :]
        if self._dialect is DAPR and response.version.name and not one.variant:
            fresh = [*fresh, VARIANT_PREFIX + response.version.name]
        return TurnAnswer(
            one.instance_id,
            one.execution_id,
            one.token,
            TurnOutcome.COMPLETED,
            encode_actions(actions),
            self._custom_status(one, response, actions),
            fresh,
        )

    def _missing_workflow(self, one: _Dispatched, given: list[Any]) -> Failure | None:
        """The failure of a worker that has not this workflow, where another one may have it."""
        ending = next(
            (each for each in given if each.WhichOneof("orchestratorActionType") == "completeOrchestration"), None
        )
        if ending is None or ending.completeOrchestration.failureDetails.errorType not in _UNKNOWN_WORKFLOW:
            return None
        if not self._engine.others_know(one.session, workflow=one.name):
            return None
        return failure_of(ending.completeOrchestration.failureDetails)

    def _custom_status(self, one: _Dispatched, response: Any, actions: list[Action]) -> bytes | None:
        """The status to record, None where it is what it was: SDKs repeat it with every turn."""
        status = payload(response, "customStatus") or b""
        former = self._statuses.get(one.instance_id, b"")
        if status == former:
            return None
        self._statuses[one.instance_id] = status
        while len(self._statuses) > _STATUSES_KEPT:
            del self._statuses[next(iter(self._statuses))]
        return status

    async def complete_activity(self, response: Any, context: CallContext) -> Any:
        """A worker's answer to an activity; one that nobody waits for is dropped."""
        one = self._tasks.get(response.completionToken)
        if one is None and not response.completionToken:
            key = (response.instanceId, response.taskId)
            one = _found(self._tasks, lambda each: (each.instance_id, each.task_id) == key)
        if one is None:
            return self._dialect.pb.CompleteTaskResponse()
        del self._tasks[one.token]
        details = response.failureDetails
        if not response.HasField("failureDetails") or not (details.errorType or details.errorMessage):
            answer = ActivityAnswer(one.token, payload(response, "result"))
        elif details.errorType in _UNKNOWN_ACTIVITY and self._engine.others_know(one.session, activity=one.name):
            answer = ActivityAnswer(one.token, rejected=True)
        else:
            answer = ActivityAnswer(one.token, failure=encode_failure(failure_of(details)))
        self._engine.activity_answered(one.session, answer)
        return self._dialect.pb.CompleteTaskResponse()

    async def abandon_turn(self, request: Any, context: CallContext) -> Any:
        """A worker gives a turn back: it is tried again, later and later."""
        one = self._turns.pop(request.completionToken, None)
        if one is not None:
            text = f"the worker gave the turn of instance '{one.instance_id}' back; perhaps its version does not match"
            self._engine.turn_answered(one.session, _failed(one, TurnOutcome.FAILED, Failure("Abandoned", text)))
        return self._dialect.pb.AbandonOrchestrationTaskResponse()

    async def abandon_activity(self, request: Any, context: CallContext) -> Any:
        """A worker gives an activity back. Without another worker it stays this one's, whose stream is about to end."""
        one = self._tasks.get(request.completionToken)
        if one is not None and self._engine.others_know(one.session, activity=one.name):
            del self._tasks[one.token]
            self._engine.activity_answered(one.session, ActivityAnswer(one.token, rejected=True))
        return self._dialect.pb.AbandonActivityTaskResponse()


async def _set_in_time(queued: asyncio.Event) -> bool:
    """Whether something was queued before the stream was silent for too long."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await queued.wait()
    except TimeoutError:
        return False
    return True


def _hello(request: Any, dialect: Dialect, worker_id: str) -> Hello:
    takes_any = dialect is DAPR or not request.HasField("workItemFilters")
    filters = None if takes_any else request.workItemFilters
    return Hello(
        worker_id,
        f"durabletask/{dialect.name}",
        workflows=[one.name for one in filters.orchestrations] if filters is not None else (),
        activities=[one.name for one in filters.activities] if filters is not None else (),
        max_turns=max(0, request.maxConcurrentOrchestrationWorkItems),
        max_activities=max(0, request.maxConcurrentActivityWorkItems),
        takes_any=takes_any,
    )


def _split_open_turn(past: list[Event]) -> tuple[list[Event], list[Event]]:
    """A turn recorded in part is asked for again: as new events, which every item must have."""
    last = max((i for i, event in enumerate(past) if isinstance(event, TurnStarted)), default=0)
    return past[:last], past[last:]


def _failed(one: _Dispatched, outcome: TurnOutcome, failure: Failure) -> TurnAnswer:
    return TurnAnswer(one.instance_id, one.execution_id, one.token, outcome, failure=encode_failure(failure))


def _found(items: Mapping[str, _Dispatched], matches: Callable[[_Dispatched], bool]) -> _Dispatched | None:
    return next((one for one in items.values() if matches(one)), None)
