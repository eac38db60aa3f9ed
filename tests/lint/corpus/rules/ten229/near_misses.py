"""Failures that are answered."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def spoken(ctx: wf.WorkflowContext, job: dict):
    try:
        yield ctx.call_activity(act, input=job)
    except wf.TaskFailedError:  # near miss: only the activity's failure
        pass
    try:
        yield ctx.call_activity(act, input=job)
    except Exception as error:  # near miss: raised as another one
        raise RuntimeError("job failed") from error
