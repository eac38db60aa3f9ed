"""Functions of `time` that mean now when they are given nothing."""

import email.utils
import time
from time import gmtime, strftime

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def night_run(ctx: wf.WorkflowContext, job: dict):
    if gmtime().tm_hour < 6:  # violation: TEN103: no argument
        yield ctx.call_activity(act, input=job)


@wfr.workflow
async def foldered(ctx: wf.WorkflowContext, job: dict) -> str:
    folder = strftime("%Y%m%d")  # violation: TEN103: only the format
    await ctx.call_activity(act, input={**job, "folder": folder})
    return time.ctime()  # violation: TEN103: no argument


def header() -> str:
    return email.utils.formatdate(usegmt=True)  # violation(date): TEN103: the mail's date is now


@wfr.workflow
def mail(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={**job, "date": header()})  # via(date)
    return time.asctime()  # violation: TEN103: no argument
