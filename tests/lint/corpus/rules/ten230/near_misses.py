"""Endings that wait for nothing, or are no endings."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def tidied(ctx: wf.WorkflowContext, job: dict):
    try:
        yield ctx.call_activity(act, input=job)
    except wf.TaskFailedError:
        yield ctx.call_activity(act, input={"undo": True})  # near miss: a handler, not an ending
        raise
    else:
        yield ctx.call_activity(act, input={"next": True})  # near miss: only when it went well
    finally:
        ctx.logger.info("over")  # near miss: waits for nothing
        job.clear()  # near miss: the same
    yield ctx.call_activity(act, input={"after": True})  # near miss: after the block


@wfr.activity
def released(ctx: wf.WorkflowActivityContext, job: dict) -> None:
    try:
        job["n"] += 1
    finally:
        act(ctx, job)  # near miss: in an activity
