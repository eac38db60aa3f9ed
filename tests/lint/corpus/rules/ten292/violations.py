"""Suppressions without a reason or a use."""

import time

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def stamped(ctx: wf.WorkflowContext, job: dict):
    # violation: TEN292: no reason
    yield ctx.call_activity(act, input={"at": time.time()})  # tenuto: ignore[TEN102]
    # violation: TEN292: there is nothing to suppress
    return 1  # tenuto: ignore[TEN101] the clock is meant
