"""The explanation of a replay, for histories of every kind."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tenuto._replay import events
from tenuto._trace.build import build_trace
from tenuto._trace.model import Trace, Verdict
from tenuto._wire.history import WorkflowHistory, number_events
from tenuto._wire.instances import WorkflowState
from tenuto._wire.records import StateRecord, StateRecords
from tenuto_proto.v1 import management_pb2 as pb

STARTED_AT = 1_760_000_000_000

PIPELINE = [
    events.TurnStarted(STARTED_AT),
    events.ExecutionStarted("task_pipeline", "order-7", "e1", b'{"id":7}'),
    events.ActivityScheduled(1, "validate_task", b'{"id":7}'),
    events.TurnStarted(STARTED_AT + 20),
    events.ActivityCompleted(1, b'{"valid":true}'),
    events.ActivityScheduled(2, "assign_task", b'{"id":7}'),
    events.TurnStarted(STARTED_AT + 45),
    events.ActivityCompleted(2, b'"Ada"'),
    events.ActivityScheduled(3, "send_notification", b'"Ada"'),
]


def trace_of(
    history: list[Any], *, status: int = pb.RUNNING, records: list[StateRecord] | None = None, **fields: Any
) -> Trace:
    """Explain an instance with this history."""
    known: dict[str, Any] = {"instance_id": "order-7", "execution_id": "e1", "name": "task_pipeline", "generation": 1}
    known.update(status=status, history_length=len(history), created_at_ms=STARTED_AT, updated_at_ms=STARTED_AT)
    state = WorkflowState(pb.Instance(**{**known, **fields}))
    stored = [StateRecord("metadata", b"....", "{}"), *(records or [])]
    stored += [StateRecord(f"history-{n:06d}", msgspec.msgpack.encode(e), "") for n, e in enumerate(history)]
    found = StateRecords("tenuto:{shop/12}:instance:order-7", 12, tuple(stored), (), False)
    return build_trace(state, WorkflowHistory("order-7", "e1", number_events(history)), found)


def inbox(number: int, event: dict[str, Any]) -> StateRecord:
    """An unread message as the engine shows it."""
    return StateRecord(f"inbox-{number:06d}", b"..", json.dumps({"message_id": "m", "event": event}))


def verdicts(trace: Trace) -> list[tuple[str, str]]:
    return [(step.verdict.value, step.code) for step in trace.steps]


def whats(trace: Trace) -> str:
    return "\n".join(step.what for step in trace.nexts)


class TestTheLessonsPrompt:
    """It crashed after assign_task completed and before send_notification started."""

    def test_history_is_shown_record_by_record(self) -> None:
        """1: every event with its key, grouped by the turn that wrote it."""
        trace = trace_of(PIPELINE)
        assert [(event.key, event.turn, event.type) for event in trace.events][3:6] == [
            ("history-000003", 2, "TurnStarted"),
            ("history-000004", 2, "ActivityCompleted"),
            ("history-000005", 2, "ActivityScheduled"),
        ]
        assert (trace.events[4].subject, trace.events[4].content) == ("validate_task", 'result {"valid":true}')

    def test_the_replay_skips_what_is_recorded(self) -> None:
        """2: the function starts anew, the first two activities are skipped, the third has no result."""
        assert verdicts(trace_of(PIPELINE)) == [
            ("starts", "task_pipeline(ctx, input)"),
            ("skipped", "call_activity(validate_task)"),
            ("skipped", "call_activity(assign_task)"),
            ("waits", "call_activity(send_notification)"),
        ]

    def test_a_skip_names_the_pair_of_records(self) -> None:
        """3: the Scheduled and the Completed event with the same number decide, and the recorded result is shown."""
        step = trace_of(PIPELINE).steps[2]
        assert step.keys == ("history-000005", "history-000007")
        assert step.because == (
            "operation 2: history-000005 holds ActivityScheduled, "
            "and history-000007 holds ActivityCompleted with the same number"
        )
        assert step.payload == '"Ada"'

    def test_the_open_activity_executes_next(self) -> None:
        """4: scheduled without a result, so it is delivered (again), with the same idempotency key."""
        (step,) = trace_of(PIPELINE).nexts
        assert step.what.startswith("send_notification (operation 3) executes")
        assert "(order-7, e1, 3)" in step.what
        assert step.keys == ("history-000008",)

    def test_a_result_still_in_the_inbox_comes_first(self) -> None:
        """A crash before the turn's commit leaves the result unread: the next turn takes it."""
        unread = inbox(1, {"event": "ActivityCompleted", "event_id": 2, "result": '"Ada"'})
        trace = trace_of(PIPELINE[:6], records=[unread])
        (step,) = trace.nexts
        assert "ActivityCompleted of operation 2 (assign_task)" in step.what
        assert step.keys == ("inbox-000001",)

    def test_the_state_keys_are_named(self) -> None:
        """Records are listed with their meaning, numbered ones as a range, under the store's key."""
        trace = trace_of(PIPELINE, records=[inbox(4, {}), StateRecord("customStatus", b'"x"', '"x"')])
        assert [(key.key, key.count) for key in trace.keys] == [
            ("metadata", 1),
            ("customStatus", 1),
            ("history-000000 … history-000008", 9),
            ("inbox-000004", 1),
        ]
        assert all(key.meaning for key in trace.keys)
        assert trace.store_key == "tenuto:{shop/12}:instance:order-7"


def test_a_completed_instance_runs_nothing() -> None:
    """After the end no replay happens; the steps show what one would do, up to the return."""
    done = [
        *PIPELINE,
        events.TurnStarted(STARTED_AT + 60),
        events.ActivityCompleted(3),
        events.ExecutionCompleted(4, b"1"),
    ]
    trace = trace_of(done, status=pb.COMPLETED)
    assert verdicts(trace)[-2:] == [("skipped", "call_activity(send_notification)"), ("returns", "return")]
    assert whats(trace).startswith("Nothing: the instance is completed")


def test_a_recorded_failure_is_raised_again() -> None:
    """A failed activity is not tried again by a replay: the code gets the recorded failure."""
    failure = events.Failure("shop.Declined", "no money", cause=events.Failure("OSError", "closed"))
    history = [*PIPELINE[:3], events.TurnStarted(STARTED_AT + 5), events.ActivityFailed(1, failure, 3)]
    step = trace_of(history).steps[1]
    assert step.verdict is Verdict.RAISES
    assert step.payload == "shop.Declined: no money (caused by OSError: closed)"


def test_timers_children_and_events_are_operations() -> None:
    """Fired timers and ended children are skipped, arrived events are given, sent ones not sent again."""
    history = [
        *PIPELINE[:2],
        events.TimerCreated(1, STARTED_AT + 60_000),
        events.ChildCreated(2, "ship", "order-7:ship"),
        events.EventSent(3, "audit", "Seen", b"1"),
        events.TimerCreated(4, STARTED_AT + 90_000),
        events.TurnStarted(STARTED_AT + 60_001),
        events.TimerFired(1),
        events.ChildCompleted(2, b'"shipped"'),
        events.EventRaised("Approved", b"true"),
    ]
    trace = trace_of(history)
    assert verdicts(trace) == [
        ("starts", "task_pipeline(ctx, input)"),
        ("skipped", "create_timer(due 2025-10-09 08:54:20.000Z)"),
        ("skipped", "call_child_workflow(ship, instance_id='order-7:ship')"),
        ("skipped", "raise_event('audit', 'Seen')"),
        ("waits", "create_timer(due 2025-10-09 08:54:50.000Z)"),
        ("given", "wait_for_external_event('Approved')"),
    ]
    assert "fires at 2025-10-09 08:54:50.000Z" in whats(trace)
    assert [(span.event_id, span.end_ms is None) for span in trace.spans] == [(1, False), (2, False), (4, True)]


def test_an_open_child_is_followed() -> None:
    """What runs next names the child, and the command that explains it."""
    assert "tenuto trace order-7:ship" in whats(
        trace_of([*PIPELINE[:2], events.ChildCreated(1, "ship", "order-7:ship")])
    )


def test_a_second_result_is_ignored() -> None:
    """Replay takes the first result of an operation; a late one changes nothing and is shown as such."""
    history = [*PIPELINE[:5], events.TurnStarted(STARTED_AT + 30), events.ActivityCompleted(1, b"2")]
    trace = trace_of(history)
    assert trace.steps[1].payload == '{"valid":true}'
    assert trace.steps[-1].verdict is Verdict.NOTED


def test_holds_are_explained() -> None:
    """Suspended, stalled and worker-less instances say what they wait for; unread messages are kept meanwhile."""
    unread = inbox(0, {"event": "EventRaised", "name": "Approved"})
    suspended = whats(trace_of(PIPELINE[:2], status=pb.SUSPENDED, records=[unread]))
    assert "tenuto workflow resume order-7" in suspended
    assert "When it goes on, a turn takes EventRaised 'Approved'" in suspended
    assert "code changed" in whats(trace_of(PIPELINE, status=pb.STALLED, status_reason="code changed"))
    assert "start the app" in whats(trace_of([], status=pb.PENDING, status_reason="waiting_for: worker"))


def test_an_instance_without_a_turn_has_nothing_to_replay() -> None:
    """A start that is accepted and not yet run: no events, no steps, and the start message comes next."""
    trace = trace_of([], status=pb.PENDING, records=[inbox(0, {"event": "ExecutionStarted", "name": "task_pipeline"})])
    assert (trace.events, trace.steps) == ((), ())
    assert "the function starts" in whats(trace)


def test_waiting_for_an_event_is_recognized() -> None:
    """Nothing open and nothing unread: the code waits for an event."""
    assert "raise-event order-7" in whats(trace_of(PIPELINE[:2]))


def test_generations_reruns_and_moves_are_noted() -> None:
    """What a reader could take for a contradiction is explained."""
    notes = " ".join(trace_of(PIPELINE, generation=3, rerun_of="order-6", history_length=12).notes)
    assert "generation 3" in notes
    assert "rerun of order-6" in notes
    assert "history has 9 events, its state said 12" in notes
    assert "new execution" in " ".join(trace_of(PIPELINE, execution_id="e2").notes)


def test_a_trace_is_json() -> None:
    """The JSON form holds everything, with plain values."""
    value = json.loads(json.dumps(trace_of(PIPELINE).to_json()))
    assert value["steps"][1]["verdict"] == "skipped"
    assert value["facts"]["Shard"] == "12"
