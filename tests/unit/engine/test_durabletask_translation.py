"""Durable Task's dialects: what is said in them comes back as it was, and nothing is misread."""

from __future__ import annotations

from typing import Any

import pytest

from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.decide import decide_actions
from tenuto_engine.core.limits import MAX_MOMENT_MS, Limits
from tenuto_engine.core.state import InstanceState
from tenuto_engine.edge.durabletask import foreign
from tenuto_engine.edge.durabletask.actions import Translator, Unsupported, VersionNotAvailable
from tenuto_engine.edge.durabletask.dialects import DAPR, MICROSOFT, Dialect
from tenuto_engine.edge.durabletask.history import HistoryRenderer
from tenuto_engine.edge.durabletask.recognition import recognised
from tenuto_engine.edge.durabletask.values import due_ms, failure_of, set_failure, status_number, statuses_of

BOTH = pytest.mark.parametrize("dialect", [DAPR, MICROSOFT], ids=lambda dialect: dialect.name)


def translated(dialect: Dialect, *given: Any) -> list[a.Action]:
    return Translator(dialect, "one", "default").translate(given)


def rendered(dialect: Dialect, recorded: list[e.Event], *, for_worker: bool = True) -> list[Any]:
    request = dialect.pb.OrchestratorRequest()
    HistoryRenderer(dialect, "one", for_worker=for_worker).render(recorded, request.pastEvents)
    return list(request.pastEvents)


def recorded(dialect: Dialect, *given: Any) -> list[Any]:
    """What a worker sees of its own actions in the next turn."""
    decision = decide_actions(InstanceState("one", "x1"), translated(dialect, *given), Limits())
    return rendered(dialect, decision.events)


@BOTH
def test_an_activity_comes_back_with_all_that_was_said(dialect: Dialect) -> None:
    """Version and, by dialect, tags or the execution id of the task return with the confirming event."""
    action = dialect.pb.OrchestratorAction(id=3)
    action.scheduleTask.name, action.scheduleTask.version.value = "charge", "1.2"
    action.scheduleTask.input.value = ""
    if dialect is DAPR:
        action.scheduleTask.taskExecutionId = "t-1"
    else:
        action.scheduleTask.tags["team"] = "blue"
    (event,) = recorded(dialect, action)
    assert (event.eventId, event.taskScheduled.name, event.taskScheduled.version.value) == (3, "charge", "1.2")
    assert event.taskScheduled.HasField("input"), "an empty text is not an absent one"
    if dialect is DAPR:
        assert event.taskScheduled.taskExecutionId == "t-1"
    else:
        assert dict(event.taskScheduled.tags) == {"team": "blue"}


@BOTH
def test_a_timer_keeps_its_nanoseconds(dialect: Dialect) -> None:
    """The engine counts milliseconds and never fires early; both events name the moment as it was given."""
    action = dialect.pb.OrchestratorAction(id=0)
    action.createTimer.fireAt.seconds, action.createTimer.fireAt.nanos = 100, 1_000_001
    (timer,) = translated(dialect, action)
    assert isinstance(timer, a.CreateTimer)
    assert timer.due_at_ms == 100_002
    created = decide_actions(InstanceState("one", "x1"), [timer], Limits()).events
    events = rendered(dialect, [*created, e.TimerFired(0)])
    assert [event.WhichOneof("eventType") for event in events] == ["timerCreated", "timerFired"]
    for moment in (events[0].timerCreated.fireAt, events[1].timerFired.fireAt):
        assert (moment.seconds, moment.nanos) == (100, 1_000_001)


def test_the_timer_that_never_fires_is_a_moment_we_have() -> None:
    """Dapr's waits for events create a timer in the last nanosecond of year 9999."""
    action = DAPR.pb.OrchestratorAction(id=1)
    action.createTimer.fireAt.seconds, action.createTimer.fireAt.nanos = 253_402_300_799, 999_999_999
    assert due_ms(action.createTimer.fireAt) == MAX_MOMENT_MS
    assert [event.WhichOneof("eventType") for event in recorded(DAPR, action)] == ["timerCreated"]


def test_what_one_dialect_wrote_is_not_read_by_the_other() -> None:
    """A history begun under one dialect is told in the other without the bytes that mean something else there."""
    action = DAPR.pb.OrchestratorAction(id=1)
    action.scheduleTask.name, action.scheduleTask.taskExecutionId = "charge", "t-1"
    events = decide_actions(InstanceState("one", "x1"), translated(DAPR, action), Limits()).events
    (event,) = rendered(MICROSOFT, events)
    assert event.taskScheduled.name == "charge"
    assert not event.taskScheduled.tags


def test_bytes_of_a_newer_release_cost_only_themselves() -> None:
    """What cannot be read is left out; the operation stays."""
    into = DAPR.pb.TaskScheduledEvent()
    foreign.unpack(DAPR, DAPR.mark + b"\xff\xff\xff", into)
    assert into == DAPR.pb.TaskScheduledEvent()


@BOTH
def test_the_end_goes_last(dialect: Dialect) -> None:
    """What was asked for beside the end stands before it, whatever its place in the answer."""
    end, sent = dialect.pb.OrchestratorAction(id=-1), dialect.pb.OrchestratorAction(id=2)
    end.completeOrchestration.orchestrationStatus = 1
    sent.sendEvent.instance.instanceId, sent.sendEvent.name = "two", "go"
    kinds = [type(action) for action in translated(dialect, end, sent)]
    assert kinds == [a.SendEvent, a.CompleteExecution]


@BOTH
def test_continue_as_new_carries_events_and_the_version(dialect: Dialect) -> None:
    """Unread events go to the next execution, and so does the version of this one unless another is named."""
    action = dialect.pb.OrchestratorAction(id=5)
    action.completeOrchestration.orchestrationStatus = 2
    action.completeOrchestration.result.value = "7"
    carried = action.completeOrchestration.carryoverEvents.add()
    carried.eventRaised.name = "tick"
    (made,) = Translator(dialect, "one", "default", "1.0").translate([action])
    assert isinstance(made, a.ContinueAsNew)
    assert (made.input, made.carryover, made.keep_events) == (b"7", [e.EventRaised("tick")], True)
    started = dialect.pb.ExecutionStartedEvent()
    foreign.unpack(dialect, made.foreign, started)
    assert started.version.value == "1.0"


def test_children_are_named_after_their_parent_where_the_sdk_names_none() -> None:
    """An empty id becomes the parent's with the operation's number."""
    action = MICROSOFT.pb.OrchestratorAction(id=10)
    action.createSubOrchestration.name = "child"
    (made,) = translated(MICROSOFT, action)
    assert isinstance(made, a.StartChild)
    assert made.instance_id == "one:000a"


def test_refusals() -> None:
    """Another application and entities are refused with a sentence; a missing version is told apart."""
    other = DAPR.pb.OrchestratorAction(id=1)
    other.scheduleTask.name, other.router.targetAppID = "charge", "another"
    with pytest.raises(Unsupported, match="application 'another'"):
        translated(DAPR, other)
    entity = MICROSOFT.pb.OrchestratorAction(id=1)
    entity.sendEntityMessage.entityOperationSignaled.requestId = "r"
    with pytest.raises(Unsupported, match="sendEntityMessage"):
        translated(MICROSOFT, entity)
    version = DAPR.pb.OrchestratorAction(id=1)
    version.orchestratorVersionNotAvailable.SetInParent()
    with pytest.raises(VersionNotAvailable):
        translated(DAPR, version)


@BOTH
def test_workers_do_not_see_what_their_replay_chokes_on(dialect: Dialect) -> None:
    """Pauses and ends are for clients; a worker gets neither."""
    whole: list[e.Event] = [
        e.TurnStarted(1),
        e.ExecutionStarted("flow", "one", "x1"),
        e.ExecutionSuspended("a pause"),
        e.ExecutionResumed(),
        e.ExecutionCompleted(1, b"1"),
    ]
    seen = [event.WhichOneof("eventType") for event in rendered(dialect, whole)]
    told = [event.WhichOneof("eventType") for event in rendered(dialect, whole, for_worker=False)]
    assert seen == ["orchestratorStarted", "executionStarted"]
    assert told == [*seen, "executionSuspended", "executionResumed", "executionCompleted"]


@BOTH
def test_failures_survive_with_their_causes(dialect: Dialect) -> None:
    """Type, message, stack, finality and causes are what they were."""
    failure = e.Failure("A", "a", "stack", e.Failure("B", "b"), non_retryable=True)
    details = dialect.pb.TaskFailureDetails()
    set_failure(details, failure)
    assert failure_of(details) == failure


def test_stalled_is_running_for_those_who_do_not_know_the_word() -> None:
    """Microsoft's clients raise at status 8; a query for running instances finds stalled ones too."""
    assert (status_number(DAPR, 7), status_number(MICROSOFT, 7)) == (8, 0)
    assert statuses_of([0]) == {2, 7}


@pytest.mark.parametrize(
    ("request_fields", "metadata", "dialect"),
    [
        ({}, set(), None),
        ({"maxConcurrentOrchestrationWorkItems": 4, "maxConcurrentActivityWorkItems": 4}, set(), None),
        ({}, {"dapr-api-token"}, DAPR),
        ({}, {"taskhub"}, MICROSOFT),
        ({"maxConcurrentEntityWorkItems": 4}, set(), MICROSOFT),
        ({"capabilities": [2]}, set(), MICROSOFT),
        ({"capabilities": [1]}, set(), None),
        ({"workItemFilters": {}}, set(), MICROSOFT),
    ],
)
def test_what_gives_a_worker_away(request_fields: Any, metadata: set[str], dialect: Dialect | None) -> None:
    """Only what one family alone sends decides; everything else is left to the listener."""
    request = MICROSOFT.pb.GetWorkItemsRequest(**request_fields)
    assert recognised(request.SerializeToString(), frozenset(metadata)) is dialect


def test_dapr_gives_itself_away_by_where_its_capabilities_stand() -> None:
    """Since 1.19 they stand in field 4, which Microsoft's workers never set."""
    request = DAPR.pb.GetWorkItemsRequest(capabilities=[3, 2])
    assert recognised(request.SerializeToString(), frozenset()) is DAPR
    assert recognised(b"\xff\xff", frozenset()) is None
