"""Asynchronous activities that block the loop."""

import time

import requests

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
async def fetched(ctx: wf.WorkflowActivityContext, url: str) -> str:
    time.sleep(1)  # noqa: ASYNC251  # violation: TEN264: holds up every other activity
    return requests.get(url, timeout=9).text  # noqa: ASYNC210  # violation: TEN264: the same


@wfr.workflow
def page(ctx: wf.WorkflowContext, url: str):
    return (yield ctx.call_activity(fetched, input=url))
