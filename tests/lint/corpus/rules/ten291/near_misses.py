"""Calls that can be followed."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def double(n: int) -> int:
    return 2 * n


def triple(n: int) -> int:
    return 3 * n


HANDLERS = {"double": double, "triple": triple}


@wfr.workflow
def dispatched(ctx: wf.WorkflowContext, job: dict):
    handler = HANDLERS[job["kind"]]  # near miss: a table of the module
    yield ctx.call_activity(act, input={"n": handler(job["n"])})  # near miss: one of its functions
    function = getattr(job, "get")  # noqa: B009  # near miss: a literal name
    yield ctx.call_activity(act, input={"n": function("n")})
