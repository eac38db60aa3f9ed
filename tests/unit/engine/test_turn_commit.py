"""From a turn's effects to the one commit that makes them durable."""

from __future__ import annotations

import pytest

from bare_core import BareCore, FixedClock, started
from tenuto_engine.codec.events import decode_event
from tenuto_engine.codec.records import decode_activity, decode_envelope, decode_inbox, decode_metadata
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.records import NEVER_MS, ActivityKey, IndexEntry, OutboxSend, ReminderKey, ReminderSet

PARENT = e.Parent("order-0", "x0", 4, "checkout")
FAILURE = e.Failure("ValueError", "no")


def envelope_event(send: OutboxSend) -> e.Event:
    """The event inside an outbox message."""
    return decode_event(decode_envelope(send.body).event)


def test_first_commit_says_where_it_builds_on() -> None:
    """Token, base and head name what the store must hold and what it will hold."""
    commit = BareCore(started()).turn([a.ScheduleActivity(0, "pack")]).commits[0]
    assert (commit.shard, commit.token, commit.lease_version, commit.instance_id) == (2, "token", "", "order-1")
    assert (commit.base_execution_id, commit.base_commit_id, commit.base_length) == ("x1", "", 0)
    head = commit.head
    assert (head.status, head.hold, head.execution_id, head.start_id) == (Status.RUNNING, Hold.NONE, "x1", "start")
    assert (head.commit_id, head.history_length, head.taken, commit.consumed) == ("engine.1", 3, 1, [0])
    assert [type(decode_event(raw)) for raw in commit.history] == [
        e.TurnStarted,
        e.ExecutionStarted,
        e.ActivityScheduled,
    ]


def test_next_commit_builds_on_the_one_before() -> None:
    """Commit id and length are those that the former commit left."""
    core = BareCore(started())
    first = core.turn([a.ScheduleActivity(0, "pack")]).commits[0]
    core.receive(e.ActivityCompleted(0, b"7"))
    second = core.turn([a.CompleteExecution(1)]).commits[0]
    assert (second.base_commit_id, second.base_length) == (first.head.commit_id, first.head.history_length)
    assert (second.head.taken, second.consumed) == (2, [1])


def test_index_moves_with_the_status() -> None:
    """The index entry is written only by commits that change the status, and names the one it replaces."""
    core = BareCore(started())
    first = core.turn([a.ScheduleActivity(0, "pack")]).commits[0]
    assert first.old_index == IndexEntry("ship", Status.PENDING, 1_000)
    assert first.index == IndexEntry("ship", Status.RUNNING, 1_000)
    core.receive(e.ActivityCompleted(0))
    second = core.turn([a.ScheduleActivity(1, "pack")]).commits[0]
    assert (second.old_index, second.index) == (None, None)


def test_activity_entry_is_claimed_and_points_into_history() -> None:
    """The entry names the event it belongs to, the engine that runs it, and when its owner must look."""
    asked = a.ScheduleActivity(3, "pack", b"in", e.RetryPolicy(100, 3), 50, 0, 20)
    trace = BareCore(started()).turn([asked])
    (record,) = trace.commits[0].activities_set
    body = decode_activity(record.data)
    assert record.key == ActivityKey(3, "x1", "order-1")
    assert (record.attempt, record.revision, record.look_at_ms) == (1, 1, NEVER_MS)
    assert (body.history_index, body.claim, body.deliveries, body.scheduled_at_ms) == (2, "engine", 1, 1_000)
    assert (body.retry, body.start_to_close_ms, body.heartbeat_ms) == (e.RetryPolicy(100, 3), 50, 20)
    assert decode_event(trace.commits[0].history[body.history_index]) == trace.events[2]
    # The input is handed on for the dispatch, and not stored a second time.
    assert trace.bodies[0].bodies == [(body, b"in")]
    assert b"in" not in record.data.replace(b"ship", b"").replace(b"engine", b"")


def test_schedule_to_close_sets_when_to_look() -> None:
    """A deadline over all attempts is known from the start."""
    trace = BareCore(started()).turn([a.ScheduleActivity(0, "pack", schedule_to_close_ms=500)])
    assert trace.commits[0].activities_set[0].look_at_ms == 1_500


def test_timers_are_reminders() -> None:
    """A timer's reminder names the operation; cancelling in a later turn removes it without a record."""
    core = BareCore(started())
    first = core.turn([a.CreateTimer(0, 5_000)]).commits[0]
    key = ReminderKey("timer", 0, "x1", "order-1")
    assert first.reminders_set == [ReminderSet(key, 5_000)]
    core.receive(e.EventRaised("paid"))
    second = core.turn([a.CancelTimer(0), a.ScheduleActivity(1, "pack")]).commits[0]
    assert second.reminders_removed == [key]
    assert len(second.history) == 3
    assert core.live.state.timers == {}


def test_cancelling_a_timer_that_is_gone_does_nothing() -> None:
    """A timer that fired in the same turn needs no removal."""
    core = BareCore(started())
    core.turn([a.CreateTimer(0, 5_000)])
    core.receive(e.TimerFired(0))
    commit = core.turn([a.CancelTimer(0), a.ScheduleActivity(1, "pack")]).commits[0]
    assert commit.reminders_removed == []


def test_children_go_by_the_outbox_even_to_their_own_shard() -> None:
    """A child's start is durable with the turn that asked for it, and says who its parent is."""
    for name in ("bill-1", "bill-2", "bill-3", "bill-4", "bill-5"):
        trace = BareCore(started()).turn([a.StartChild(2, "bill", name, b"in")])
        (send,) = trace.commits[0].outbox
        assert send.target_shard == shard_of(name, 4)
        assert decode_envelope(send.body).start
        start = envelope_event(send)
        assert isinstance(start, e.ExecutionStarted)
        assert (start.name, start.instance_id, start.input) == ("bill", name, b"in")
        assert start.parent == e.Parent("order-1", "x1", 2, "ship")
        created = trace.events[2]
        assert isinstance(created, e.ChildCreated)
        assert (start.execution_id, start.generation) == (created.child_execution_id, 1)


def test_events_to_others_go_directly_within_a_shard() -> None:
    """The same shard is reached in the commit itself, another one by the outbox; so is the instance itself."""
    near = next(f"order-{i}" for i in range(2, 99) if shard_of(f"order-{i}", 4) == 2)
    far = next(f"order-{i}" for i in range(2, 99) if shard_of(f"order-{i}", 4) == 3)
    asked: list[a.Action] = [a.SendEvent(i, to, "paid", b"7") for i, to in enumerate((near, far, "order-1"))]
    commit = BareCore(started()).turn(asked).commits[0]
    ((target, message),) = commit.appends
    assert (target, message.id, message.execution_id, message.control) == (near, "x1/2", "", False)
    assert decode_event(decode_inbox(message.body).event) == e.EventRaised("paid", b"7")
    assert [decode_envelope(send.body).instance_id for send in commit.outbox] == [far, "order-1"]
    assert [decode_envelope(send.body).id for send in commit.outbox] == ["x1/3", "x1/4"]


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (a.CompleteExecution(1, b"7"), e.ChildCompleted(4, b"7")),
        (a.FailExecution(1, FAILURE), e.ChildFailed(4, FAILURE)),
    ],
    ids=repr,
)
def test_parent_is_told(ending: a.Action, told: e.Event) -> None:
    """A child's end is a message for the execution that started it, under an id that a repetition shares."""
    commit = BareCore(started(parent=PARENT)).turn([ending]).commits[0]
    messages = [(m.id, m.execution_id, decode_inbox(m.body).event) for _, m in commit.appends]
    envelopes = [decode_envelope(send.body) for send in commit.outbox]
    messages += [(envelope.id, envelope.execution_id, envelope.event) for envelope in envelopes]
    ((message_id, execution_id, raw),) = messages
    assert (message_id, execution_id, decode_event(raw)) == ("x1/result", "x0", told)


def test_an_end_leaves_nothing_behind() -> None:
    """A terminal commit removes every open call and timer by name, writes none, and sets the retention."""
    core = BareCore(started())
    core.turn([a.ScheduleActivity(0, "pack"), a.CreateTimer(1, 5_000), a.CreateTimer(2, 6_000)])
    core.receive(e.TimerFired(1))
    commit = core.turn([a.ScheduleActivity(3, "pack"), a.CreateTimer(4, 9), a.CompleteExecution(5)]).commits[0]
    assert commit.activities_set == []
    assert {key.event_id for key in commit.activities_removed} == {0, 3}
    assert {key.event_id for key in commit.reminders_removed if key.kind == "timer"} == {2, 4}
    (retention,) = commit.reminders_set
    assert retention == ReminderSet(ReminderKey("retention", 0, "x1", "order-1"), 1_000 + 7 * 86_400_000)
    assert commit.close
    assert decode_metadata(commit.metadata).completed_at_ms == 1_000


@pytest.mark.parametrize(("ending", "days"), [(a.CompleteExecution(0), 7), (a.FailExecution(0, FAILURE), 30)], ids=repr)
def test_retention_follows_the_outcome(ending: a.Action, days: int) -> None:
    """Completed instances are kept 7 days, others 30, from when they ended."""
    core = BareCore(started())
    assert isinstance(core.clock, FixedClock)
    core.clock.at_ms = 50_000
    assert core.turn([ending]).commits[0].reminders_set[0].due_at_ms == 50_000 + days * 86_400_000


def test_terminating_reaches_the_children() -> None:
    """Each open child gets a termination of its own, for the instance its start began, that passes every hold."""
    core = BareCore(started())
    trace = core.turn([a.StartChild(0, "bill", "bill-1"), a.StartChild(1, "bill", "bill-2")])
    ids = [event.child_execution_id for event in trace.events if isinstance(event, e.ChildCreated)]
    core.receive(e.ExecutionTerminated(reason="fraud"))
    commit = core.turn().commits[0]
    envelopes = [decode_envelope(send.body) for send in commit.outbox]
    assert not commit.appends
    assert {(envelope.execution_id, envelope.control) for envelope in envelopes} == {("", True)}
    events = [decode_event(envelope.event) for envelope in envelopes]
    told = [(sent.instance_id, getattr(event, "start_id", "")) for sent, event in zip(envelopes, events, strict=True)]
    assert told == [("bill-1", f"{ids[0]}/start"), ("bill-2", f"{ids[1]}/start")]
    assert commit.head.status is Status.TERMINATED


def test_continue_as_new_replaces_the_record() -> None:
    """The next execution has an empty history, a new id, the next generation, and its start unread."""
    core = BareCore(started(version="v1"))
    core.turn([a.ScheduleActivity(0, "pack"), a.StartChild(1, "bill", "bill-1")])
    core.receive(e.EventRaised("paid", b"1"))
    carried = [e.EventRaised("paid", b"1")]
    commit = core.turn([a.ContinueAsNew(2, b"again", True, "", carried)]).commits[0]
    body = decode_metadata(commit.metadata)
    assert commit.renew
    assert not commit.close
    assert (commit.base_execution_id, commit.base_length, commit.history) == ("x1", 4, ())
    assert (commit.head.history_length, body.history_bytes, body.generation) == (0, 0, 2)
    assert commit.head.execution_id not in {"x1", ""}
    assert [child.instance_id for child in body.children] == ["bill-1"]
    assert {key.event_id for key in commit.activities_removed} == {0}
    first, second = [(target, decode_inbox(m.body), m.execution_id) for target, m in commit.appends]
    start = decode_event(first[1].event)
    assert (first[0], first[2]) == ("order-1", commit.head.execution_id)
    assert isinstance(start, e.ExecutionStarted)
    assert (start.input, start.version, start.generation, start.name) == (b"again", "v1", 2, "ship")
    assert (decode_event(second[1].event), second[1].carried, second[2]) == (carried[0], True, "")


def test_the_same_turn_done_again_makes_the_same_ids() -> None:
    """Derived ids follow from where they are made, so a turn repeated after a crash is the same turn."""
    actions: list[a.Action] = [a.StartChild(0, "bill", "bill-1"), a.ContinueAsNew(1)]
    once, again = (BareCore(started()).turn(actions).commits[0] for _ in range(2))
    assert once == again


def test_oversized_turn_is_an_ordered_series() -> None:
    """Each part builds on the one before; the first consumes the messages, the last carries status and end."""
    core = BareCore(started(), limits=Limits(commit_records=3))
    actions: list[a.Action] = [*(a.ScheduleActivity(i, "pack") for i in range(5)), a.CreateTimer(9, 7)]
    commits = core.turn(actions, custom_status=b"1").commits
    assert [len(commit.history) for commit in commits] == [3, 3, 2]
    assert [list(commit.consumed) for commit in commits] == [[0], [], []]
    assert [commit.custom_status for commit in commits] == [None, None, b"1"]
    assert [commit.keep_ready for commit in commits] == [True, True, False]
    assert [decode_metadata(commit.metadata).open_turn for commit in commits] == [True, True, False]
    assert [commit.base_commit_id for commit in commits] == ["", *(c.head.commit_id for c in commits[:2])]
    assert [commit.base_length for commit in commits] == [0, 3, 6]


def test_bytes_cut_a_turn_too() -> None:
    """A part holds at most the limit's bytes, or one record that is larger."""
    core = BareCore(started(), limits=Limits(commit_bytes=100))
    commits = core.turn([a.ScheduleActivity(i, "pack", b"x" * 60) for i in range(3)]).commits
    sizes = [[len(raw) for raw in commit.history] for commit in commits]
    assert len(commits) > 2
    assert all(sum(part) <= 100 or len(part) == 1 for part in sizes)
