"""Fakes, retries and what is written down of an activity's runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tenuto as wf
from kit.kit_workflows import (
    Receipt,
    approve,
    bare,
    by_name,
    calls_bare,
    charge,
    family,
    many,
    notify,
    pay,
    wait_long,
    wfr,
)
from tenuto.testing import WorkflowEnvironment

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


def test_the_real_activity_runs_where_none_is_faked() -> None:
    """Input and result pass through the engine, and the result has the workflow's annotated type."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(pay, input=7)
        assert instance.result() == Receipt(7, 10)
        assert instance.result(dict) == {"order": 7, "amount": 10}
        instance.assert_activity_called(charge, times=1, attempts=1, input=7)
        instance.assert_activity_not_called(notify)


def test_a_fake_stands_in_and_the_last_one_counts() -> None:
    """The workflow receives the fake's result, by whatever the activity is named."""
    with WorkflowEnvironment(wfr) as env:
        env.fake_activity(charge, returns=Receipt(1, 99))
        assert env.run(pay, input=1).amount == 99
        env.fake_activity("charge", returns={"order": 1, "amount": 98})
        assert env.run(pay, input=1).amount == 98


def test_an_activity_without_parameters_runs_too() -> None:
    """Whatever an activity takes, its runs are written down."""
    with WorkflowEnvironment(wfr) as env:
        assert env.run(calls_bare) == "bare"
        assert [call.result for call in env.activity_calls(bare)] == ["bare"]


def test_a_result_that_does_not_fit_the_annotation_is_refused_at_once() -> None:
    """A fake cannot return what the real activity never could."""
    with WorkflowEnvironment(wfr) as env:
        with pytest.raises(wf.PayloadError, match="result of the fake of activity 'charge'"):
            env.fake_activity(charge, returns="a receipt")
        with pytest.raises(wf.PayloadError):
            env.fake_activity(charge, sequence=[ConnectionError(), 5])


def test_a_side_effect_that_does_not_fit_fails_the_call_for_good() -> None:
    """The policy's five attempts are not spent on it, and the message names the fake."""
    with WorkflowEnvironment(wfr) as env:
        env.fake_activity(charge, side_effect=lambda order: f"receipt {order}")
        instance = env.start(pay, input=1)
        with pytest.raises(wf.WorkflowFailed, match="result of the fake of activity 'charge'"):
            instance.result()
        instance.assert_activity_called(charge, times=1, attempts=1)


@pytest.mark.parametrize(
    "side_effect",
    [
        lambda: Receipt(1, 5),
        lambda order: Receipt(order, 5),
        lambda ctx, order: Receipt(order, 4 + ctx.attempt),
    ],
)
def test_a_side_effect_takes_as_much_as_it_likes(side_effect: Any) -> None:
    """Nothing, the input, or context and input."""
    with WorkflowEnvironment(wfr) as env:
        env.fake_activity(charge, side_effect=side_effect)
        assert env.run(pay, input=1) == Receipt(1, 5)


def test_a_side_effect_may_be_asynchronous() -> None:
    """What it awaits is awaited."""

    async def later(order: int) -> Receipt:
        return Receipt(order, 6)

    with WorkflowEnvironment(wfr) as env:
        env.fake_activity(charge, side_effect=later)
        assert env.run(pay, input=2) == Receipt(2, 6)


def test_failures_before_success_take_the_policys_virtual_back_off() -> None:
    """Two failures and an hour between attempts: the third attempt succeeds two hours later."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        env.fake_activity(charge, sequence=[ConnectionError("down"), TimeoutError, Receipt(1, 3)])
        instance = env.start(pay, input=1)
        assert instance.result().amount == 3
        assert env.now == NOON + timedelta(hours=2)
        instance.assert_activity_called(charge, times=1, attempts=3)
        runs = instance.activity_calls(charge)
        assert [run.attempt for run in runs] == [1, 2, 3]
        assert [run.at for run in runs] == [NOON + timedelta(hours=hours) for hours in (0, 1, 2)]
        assert [type(run.error) for run in runs] == [ConnectionError, TimeoutError, type(None)]


def test_a_fake_that_always_raises_fails_the_workflow_after_the_policys_attempts() -> None:
    """The failure that a client would see carries the fake's error."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        env.fake_activity(charge, raises=ConnectionError("down"))
        instance = env.start(pay, input=1)
        with pytest.raises(wf.WorkflowFailed, match="down") as caught:
            instance.result()
        assert caught.value.details.cause is not None
        assert caught.value.details.cause.error_type == "ConnectionError"
        assert env.now == NOON + timedelta(hours=4)
        instance.assert_activity_called(charge, attempts=5)


def test_a_sequence_that_is_too_short_says_so() -> None:
    """A further attempt fails for good, and names the fake."""
    with WorkflowEnvironment(wfr) as env:
        env.fake_activity(charge, sequence=[ConnectionError()])
        with pytest.raises(wf.WorkflowFailed, match="has 1 outcomes, and this is attempt 2"):
            env.run(pay, input=1)


def test_an_activity_of_another_process_can_be_faked_by_name() -> None:
    """The worker offers a name that the runtime does not know."""
    with WorkflowEnvironment(wfr) as env:
        env.fake_activity("elsewhere", returns=41)
        assert env.run(by_name) == 41


def test_an_activity_that_nobody_has_is_told() -> None:
    """The wait ends with the name of the activity that no worker has registered."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(AssertionError, match="activity 'elsewhere' \\(operation 1\\)"):
        env.run(by_name)


@pytest.mark.parametrize("behaviour", [{}, {"returns": 1, "hangs": True}, {"raises": OSError, "sequence": [1]}])
def test_a_fake_behaves_in_one_way(behaviour: dict[str, Any]) -> None:
    """None or two ways are refused, with those that were given."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(TypeError, match="one way to behave"):
        env.fake_activity(notify, **behaviour)


def test_none_is_a_result() -> None:
    """`returns=None` is a way to behave."""
    with WorkflowEnvironment(wfr) as env:
        env.fake_activity("elsewhere", returns=None)
        assert env.run(by_name) is None


def test_an_assertion_that_fails_lists_the_runs() -> None:
    """The message holds what was called, in order, with inputs, attempts and outcomes."""
    with pytest.raises(AssertionError) as caught, WorkflowEnvironment(wfr) as env:
        env.fake_activity(charge, sequence=[ConnectionError("down"), Receipt(4)])
        instance = env.start(pay, input=4)
        instance.result()
        instance.assert_activity_called(charge, times=2)
    text = str(caught.value)
    assert "activity 'charge' of instance 'pay-1' was called once, not 2 times" in text
    assert "charge(4), operation 1, attempt 1: raised ConnectionError('down')" in text
    assert "charge(4), operation 1, attempt 2: returned Receipt(order=4, amount=0)" in text


def test_children_are_instances_of_their_own() -> None:
    """A child is found by its id, receives events and is listed with its own calls."""
    with WorkflowEnvironment(wfr) as env:
        parent = env.start(family, input=1, instance_id="parent")
        waits = next(wait for wait in parent.waits_for() if wait.startswith("child workflow 'approve'"))
        child = env.instance(waits.split("'")[3])
        child.raise_event("approval", "yes")
        assert parent.result()[1:] == [10, ["yes", "PAID"]]
        assert child.result() == "yes"


def test_heartbeats_fan_outs_and_statuses_are_the_engines() -> None:
    """An attempt goes on where the last one's heartbeat was; five hundred calls are more than a worker takes."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(many, input=500)
        assert instance.result() == 500
        assert instance.state().custom_status == {"copied": "5 of 500"}
        instance.assert_activity_called(notify, times=500)


def test_a_start_may_be_delayed() -> None:
    """The first turn comes at its moment, to which time jumps."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        instance = env.start(pay, input=1, start_at=NOON + timedelta(days=2))
        assert instance.state().runtime_status is wf.WorkflowStatus.PENDING
        assert instance.result() == Receipt(1, 10)
        assert env.now == NOON + timedelta(days=2)


def test_payloads_pass_through_the_runtimes_codec() -> None:
    """Inputs, results, events and the replay at the end use the codec that the runtime was given."""

    class Reversed:
        def encode(self, data: bytes) -> bytes:
            return data[::-1]

        def decode(self, data: bytes) -> bytes:
            return data[::-1]

    packed = wf.WorkflowRuntime(payload_codec=Reversed())

    @packed.activity
    def length(ctx: wf.WorkflowActivityContext, text: str) -> int:
        return len(text)

    @packed.workflow
    def measure(ctx: wf.WorkflowContext, text: str) -> Any:
        added = yield ctx.wait_for_external_event("more")
        return (yield ctx.call_activity(length, input=text + added))

    with WorkflowEnvironment(packed) as env:
        env.fake_activity(length, side_effect=lambda text: len(text) * 2)
        instance = env.start(measure, input="ab")
        instance.raise_event("more", "cd")
        assert instance.result() == 8
        instance.assert_activity_called(length, input="abcd")


def test_code_that_takes_a_client_is_given_the_environments() -> None:
    """It starts, waits over virtual time, times out in virtual time, and sees the errors of every client."""

    def order_and_wait(client: wf.WorkflowClient, days: int, patience_s: float = 0) -> Any:
        with client:
            instance_id = client.schedule_new_workflow(wait_long, input=days)
            assert client.wait_for_workflow_start(instance_id).runtime_status is wf.WorkflowStatus.RUNNING
            return client.wait_for_workflow_completion(instance_id, timeout_in_seconds=patience_s).result()

    with WorkflowEnvironment(wfr, now=NOON) as env:
        assert order_and_wait(env.client, 30) == (NOON + timedelta(days=30)).isoformat()
        with pytest.raises(wf.WaitTimeout, match="within 60 s of virtual time: last seen running"):
            order_and_wait(env.client, 1, patience_s=60)
        assert env.now == NOON + timedelta(days=30, minutes=1)
        assert [state.name for state in env.client.list_workflows()] == ["wait_long", "wait_long"]
        with pytest.raises(wf.InstanceNotFound):
            env.client.wait_for_workflow_completion("none")


def test_lifecycle_commands_reach_the_instance() -> None:
    """Suspending holds it, resuming lets it go on, terminating ends it."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(approve, input=1)
        instance.suspend(reason="holiday")
        with pytest.raises(AssertionError, match="is suspended"):
            instance.result()
        instance.resume()
        instance.terminate(output="ended")
        with pytest.raises(wf.WorkflowFailed, match="terminated"):
            instance.result()
        assert instance.state().output == "ended"


def test_a_fake_of_a_mistyped_name_is_told() -> None:
    """It stood in for nothing, and the real activity ran: the end of the test names the one that was meant."""
    with (
        pytest.raises(AssertionError, match=r"'chrage' was never called.*did you mean 'charge'"),
        WorkflowEnvironment(wfr) as env,
    ):
        env.fake_activity("chrage", returns=1)
