"""Checks that an option of Python removes."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    assert order["cents"] > 0, "nothing to pay"  # violation: TEN239: gone under -O
    yield ctx.call_activity(act, input=order)
