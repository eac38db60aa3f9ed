"""The same functions with a moment."""

import email.utils
import time

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def night_run(ctx: wf.WorkflowContext, job: dict):
    parts = time.gmtime(ctx.current_utc_datetime.timestamp())  # near miss: of a given moment
    folder = time.strftime("%Y%m%d", parts)  # near miss: of given parts
    date = email.utils.formatdate(ctx.current_utc_datetime.timestamp(), usegmt=True)  # near miss: of a given moment
    yield ctx.call_activity(act, input={**job, "folder": folder, "date": date})
    return time.asctime(parts)  # near miss: of given parts


@wfr.activity
def folder_of_today(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    return time.strftime("%Y%m%d")  # near miss: in an activity


@wfr.workflow
def stored(ctx: wf.WorkflowContext, job: dict):
    strftime = job["format"].format
    return (yield ctx.call_activity(act, input={"name": strftime("x")}))  # near miss: a local function
