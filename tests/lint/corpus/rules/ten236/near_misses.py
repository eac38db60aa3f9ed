"""Decisions by what a replay sees again."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def decided(ctx: wf.WorkflowContext, job: dict):
    number = ctx.random().random()
    if number > 0.5:  # near miss: the context's generator
        yield ctx.call_activity(act, input=job)
    answer = yield ctx.call_activity(act, input=job)
    if answer["ok"] and ctx.current_utc_datetime.hour < 12:  # near miss: a result, and the context's clock
        yield ctx.call_activity(act, input=job)
