"""Suppressions with both."""

import time

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def stamped(ctx: wf.WorkflowContext, job: dict):
    # near miss: it has a reason, and is used
    started = time.time()  # tenuto: ignore[TEN102] only written to a debug file that nobody compares
    yield ctx.call_activity(act, input={**job, "debug": started})
    return job["n"]  # near miss: an ordinary comment


def clock() -> float:
    return time.time()  # noqa: TID251  # near miss: another tool's comment
