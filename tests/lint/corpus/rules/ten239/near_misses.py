"""Checks that stay."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    if order["cents"] <= 0:
        raise ValueError("nothing to pay")  # near miss: an error
    yield ctx.call_activity(act, input=order)


def test_paid() -> None:
    assert paid.__name__ == "paid"  # near miss: a test
