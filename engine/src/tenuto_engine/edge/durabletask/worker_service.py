"""The worker's half of `TaskHubSidecarService`: work items out on one stream, answers back as separate calls.

A worker's stream is a session of the engine that takes any name, holds no live instance (it replays every turn from the
whole history) and is known by nothing but its stream. Answers are found by the token of the item, or, from SDKs that
do not send it back, by the instance and the task.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Generic

import grpc
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
# What SDKs answer for names that they have not registered: Python (Microsoft's with the module before it), JavaScript
# and .NET by the type, Java by the text.
_UNKNOWN_ACTIVITY = ("ActivityNotRegisteredError", "ActivityTaskNotFound")
_UNKNOWN_WORKFLOW = ("OrchestratorNotRegisteredError", "OrchestratorTaskNotFound")
_UNKNOWN_ACTIVITY_TEXT = re.compile(r"No activity task named '.*' is registered\.")
_UNKNOWN_WORKFLOW_TEXT = re.compile(r"No factory found for orchestrator: .*")
# What clients of gRPC take where they were not told otherwise; Microsoft's SDK for Python leaves it so.
_USUAL_BYTES = 4 << 20
# Instances whose large items broke a stream, remembered until they are answered.
_BROKE_KEPT = 1_000
# How often a draining stream is asked whether its turns are answered.
_DRAIN_PAUSE_SECONDS = 0.02


class _Dispatched(msgspec.Struct):
    """An item that waits for its answer.

    `token` is new each time it is sent, `commit_id` the engine's name of the turn. `patches`, `variant`, `version`,
    `tags`: what its history says. `actions`: those of the parts that came so far, `parts` of them.
    """

    session: Any
    token: str
    instance_id: str
    execution_id: str = ""
    task_id: int = -1
    name: str = ""
    commit_id: str = ""
    patches: list[str] = []
    variant: str = ""
    version: str = ""
    tags: dict[str, str] = {}
    actions: list[Any] = []
    parts: int = 0
    size: int = 0


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
        # The newest turn of an instance: an answer without a token is one to it. A former one that was not answered in
        # time is kept, for its answer tells that the worker works.
        self._turn_of: dict[str, str] = {}
        self._broke: dict[str, None] = {}

    def knows(self, token: str) -> bool:
        """Whether an item with this token is at one of these workers."""
        return token in self._turns or token in self._tasks

    # -- items

    async def work_items(self, request: Any, context: CallContext) -> AsyncIterator[Any]:
        """The stream of one worker, until it goes away or the engine drains; then it finds its work elsewhere."""
        if self._engine.describe().draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this engine is draining; connect to another one")
        # At once: SDKs wait for the headers before they say that they are connected.
        await context.send_initial_metadata(())
        queued = asyncio.Event()
        session = self._engine.connect(_hello(request, self._dialect, self._new_id()), queued.set)
        ping = self._ping(request)
        chunks: dict[str, list[bytes]] = {}
        draining, sent_elsewhere = self._engine.describe().draining, False
        try:
            while not draining:
                if not await _set_in_time(queued):
                    if ping is not None:
                        yield ping
                    continue
                queued.clear()
                while (outgoing := session.take_outgoing()) is not None:
                    for item in self._items(session, outgoing, chunks):
                        yield item
                    draining = draining or outgoing.draining
            while session.has_turns or (session.has_runs and not self._engine.describe().has_peers):
                # Where there is nowhere to go, the stream tells whether its worker still lives.
                await asyncio.sleep(_DRAIN_PAUSE_SECONDS)
                if (outgoing := session.take_outgoing()) is not None:
                    for item in self._items(session, outgoing, chunks):
                        yield item
            # The session stays: what its worker still runs is answered by calls, and the drain waits for it.
            sent_elsewhere = True
        finally:
            if not sent_elsewhere:
                self._lost(session)

    def _items(self, session: Any, outgoing: Outgoing, chunks: dict[str, list[bytes]]) -> Iterator[Any]:
        for turn in outgoing.turns:
            if turn.more:
                chunks.setdefault(turn.commit_id, []).extend(turn.history)
            else:
                yield self._turn_item(session, turn, [*chunks.pop(turn.commit_id, ()), *turn.history])
        for activity in outgoing.activities:
            yield self._activity_item(session, activity)
        for token, _ in outgoing.cancelled:
            # These workers cannot be told. What they answer after all is refused by the store.
            self._tasks.pop(token, None)

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

    def _lost(self, session: Any) -> None:
        """Turns of a lost stream run elsewhere at once; an activity's answer is still welcome for a while."""
        self._engine.worker_draining(session)  # nothing more is for it, also not what is handed out again just now
        lost = [one for one in self._turns.values() if one.session is session]
        for one in lost:
            self._drop_turn(one)
            if one.size > _USUAL_BYTES and self._dialect is not DAPR:
                self._engine.turn_answered(session, self._too_large(one))
        self._engine.disconnect(session)
        asyncio.get_running_loop().call_later(_LATE_SECONDS, self._forget_tasks, session)

    def _forget_tasks(self, session: Any) -> None:
        self._tasks = {token: one for token, one in self._tasks.items() if one.session is not session}

    def _turn_item(self, session: Any, turn: TurnItem, history: list[bytes]) -> Any:
        past = [decode_event(raw) for raw in history]
        fresh = [decode_event(raw) for raw in turn.new_events]
        if not fresh:
            past, fresh = _split_open_turn(past)
        item = self._dialect.pb.WorkItem(completionToken=self._new_id())
        request = item.orchestratorRequest
        request.instanceId = turn.instance_id
        request.executionId.value = turn.execution_id
        renderer = HistoryRenderer(self._dialect, turn.instance_id, for_worker=True)
        renderer.render(past, request.pastEvents)
        renderer.render(fresh, request.newEvents)
        kept = self._said_at_start([*past, *fresh])
        self._turn_of[turn.instance_id] = item.completionToken
        self._turns[item.completionToken] = _Dispatched(
            session,
            item.completionToken,
            turn.instance_id,
            turn.execution_id,
            name=renderer.workflow,
            commit_id=turn.commit_id,
            patches=renderer.patches,
            variant=renderer.variant,
            version=kept.version.value,
            tags=dict(kept.tags),
            size=item.ByteSize(),
        )
        return item

    def _drop_turn(self, one: _Dispatched) -> None:
        self._turns.pop(one.token, None)
        if self._turn_of.get(one.instance_id) == one.token:
            del self._turn_of[one.instance_id]

    def _too_large(self, one: _Dispatched) -> TurnAnswer:
        """What to say of a turn whose worker went away with it unanswered: it may be its size."""
        is_first = one.instance_id not in self._broke
        self._broke[one.instance_id] = None
        while len(self._broke) > _BROKE_KEPT:
            del self._broke[next(iter(self._broke))]
        text = (
            f"the stream of a worker broke as it was sent a work item of {one.size / (1 << 20):.1f} MiB for instance "
            f"'{one.instance_id}'; an SDK that was not told otherwise takes 4 MiB: give its worker a channel with the "
            "option grpc.max_receive_message_length, or continue as new earlier, then resume the instance"
        )
        outcome = TurnOutcome.FAILED if is_first else TurnOutcome.NON_DETERMINISTIC
        return _failed(one, outcome, Failure("WorkItemTooLarge", text, non_retryable=True))

    def _said_at_start(self, recorded: list[Event]) -> Any:
        """What the dialect recorded with the start of the execution: its version and tags."""
        started = next((event for event in recorded if isinstance(event, ExecutionStarted)), None)
        kept = self._dialect.pb.ExecutionStartedEvent()
        if started is not None:
            foreign.unpack(self._dialect, started.foreign, kept, shared=True)
        return kept

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
            one = self._turns.get(self._turn_of.get(response.instanceId, ""))
        if one is None:
            return self._dialect.pb.CompleteTaskResponse()
        if self._dialect is not DAPR and response.isPartial:
            if response.chunkIndex.value >= one.parts:  # else it is repeated, because its answer was lost
                one.actions.extend(response.actions)
                one.parts += 1
            return self._dialect.pb.CompleteTaskResponse()
        self._drop_turn(one)
        self._broke.pop(one.instance_id, None)
        answer = self._answer(one, response)
        self._engine.turn_answered(one.session, answer)
        return self._dialect.pb.CompleteTaskResponse()

    def _answer(self, one: _Dispatched, response: Any) -> TurnAnswer:
        given = [*one.actions, *response.actions]
        if (missing := self._missing_workflow(one, given)) is not None:
            return _failed(one, TurnOutcome.NOT_REGISTERED, missing)
        patches = list(response.version.patches) if self._dialect is DAPR else []
        if one.patches != patches[: len(one.patches)] and one.patches:
            text = f"Patch mismatch. History patches: {one.patches}, current patches: {patches}"
            return _failed(one, TurnOutcome.UNSUITABLE, Failure("PATCH_MISMATCH", text, non_retryable=True))
        actions: list[Action]
        try:
            app = self._engine.describe().app
            actions = Translator(self._dialect, one.instance_id, app, one.version, one.tags).translate(given)
        except VersionNotAvailable:
            text = (
                f"no connected worker has version '{one.variant}' of workflow '{one.name}', on which instance "
                f"'{one.instance_id}' began"
            )
            failure = Failure("VERSION_NOT_AVAILABLE", text, non_retryable=True)
            return _failed(one, TurnOutcome.UNSUITABLE, failure)
        except Unsupported as error:
            actions = [FailExecution(0, Failure("NotSupported", str(error), non_retryable=True))]
        fresh = patches[len(one.patches) :]
        if self._dialect is DAPR and response.version.name and not one.variant:
            fresh = [*fresh, VARIANT_PREFIX + response.version.name]
        return TurnAnswer(
            one.instance_id,
            one.execution_id,
            one.commit_id,
            TurnOutcome.COMPLETED,
            encode_actions(actions),
            payload(response, "customStatus") or b"",
            fresh,
        )

    def _missing_workflow(self, one: _Dispatched, given: list[Any]) -> Failure | None:
        """The failure of a worker that has not this workflow, where another one may have it."""
        ending = next(
            (each for each in given if each.WhichOneof("orchestratorActionType") == "completeOrchestration"), None
        )
        if ending is None:
            return None
        details = ending.completeOrchestration.failureDetails
        if not (_has_type(details, _UNKNOWN_WORKFLOW) or _UNKNOWN_WORKFLOW_TEXT.fullmatch(details.errorMessage)):
            return None
        if not self._engine.others_know(one.session, workflow=one.name):
            return None
        return failure_of(details)

    async def complete_activity(self, response: Any, context: CallContext) -> Any:
        """A worker's answer to an activity; one that nobody waits for is dropped."""
        one = self._tasks.get(response.completionToken)
        if one is None and not response.completionToken:
            key = (response.instanceId, response.taskId)
            one = _found(self._tasks, lambda each: (each.instance_id, each.task_id) == key)
        details = response.failureDetails
        has_failed = response.HasField("failureDetails") and bool(details.errorType or details.errorMessage)
        is_unknown = has_failed and (
            _has_type(details, _UNKNOWN_ACTIVITY) or bool(_UNKNOWN_ACTIVITY_TEXT.fullmatch(details.errorMessage))
        )
        answer = ActivityAnswer(one.token if one is not None else response.completionToken)
        if has_failed:
            answer.failure = encode_failure(failure_of(details))
        else:
            answer.result = payload(response, "result")
        if one is not None:
            del self._tasks[one.token]
            if is_unknown and self._engine.others_know(one.session, activity=one.name, token=one.token):
                answer = ActivityAnswer(one.token, rejected=True)
            self._engine.activity_answered(one.session, answer)
        elif response.completionToken and not is_unknown:
            # From a worker that ran it for another engine, or for this one before it was started again.
            self._engine.stray_answered(answer)
        return self._dialect.pb.CompleteTaskResponse()

    async def abandon_turn(self, request: Any, context: CallContext) -> Any:
        """A worker gives a turn back: it is tried again, later and later."""
        one = self._turns.get(request.completionToken)
        if one is not None:
            self._drop_turn(one)
            text = f"the workers gave the turn of instance '{one.instance_id}' back; perhaps none has its version"
            self._engine.turn_answered(one.session, _failed(one, TurnOutcome.GIVEN_BACK, Failure("Abandoned", text)))
        return self._dialect.pb.AbandonOrchestrationTaskResponse()

    async def abandon_activity(self, request: Any, context: CallContext) -> Any:
        """A worker gives an activity back. Without another worker it stays this one's, whose stream is about to end."""
        one = self._tasks.get(request.completionToken)
        if one is not None and self._engine.others_know(one.session, activity=one.name, token=one.token):
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
        frees_stalled=True,
    )


def _split_open_turn(past: list[Event]) -> tuple[list[Event], list[Event]]:
    """A turn recorded in part is asked for again: as new events, which every item must have."""
    last = max((i for i, event in enumerate(past) if isinstance(event, TurnStarted)), default=0)
    return past[:last], past[last:]


def _has_type(details: Any, names: Sequence[str]) -> bool:
    """Whether a failure has one of these types, with or without a module before it."""
    return details.errorType.rpartition(".")[2] in names


def _failed(one: _Dispatched, outcome: TurnOutcome, failure: Failure) -> TurnAnswer:
    return TurnAnswer(one.instance_id, one.execution_id, one.commit_id, outcome, failure=encode_failure(failure))


def _found(items: Mapping[str, _Dispatched], matches: Callable[[_Dispatched], bool]) -> _Dispatched | None:
    return next((one for one in items.values() if matches(one)), None)
