"""Code made of text, and foreign libraries."""

import ctypes

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def computed(ctx: wf.WorkflowContext, job: dict):
    value = eval(job["formula"])  # noqa: S307  # violation: TEN156: runs whatever it is given
    exec(job["script"])  # noqa: S102  # violation: TEN156: the same
    yield ctx.call_activity(act, input={"value": value})
    return ctypes.CDLL("libm.so.6").rand()  # violation: TEN156: a foreign library
