"""HTTP's vocabulary without HTTP."""

from http import HTTPStatus

import httpx
import requests

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
async def fetch(ctx: wf.WorkflowActivityContext, url: str) -> dict:
    async with httpx.AsyncClient() as client:  # near miss: in an activity
        answer = await client.get(url)  # near miss: the same
    return {"status": answer.status_code, "body": answer.text}


@wfr.workflow
def fetched(ctx: wf.WorkflowContext, url: str):
    try:
        answer = yield ctx.call_activity(fetch, input=url)
    except requests.exceptions.Timeout:  # near miss: only a class
        return None
    if answer["status"] == HTTPStatus.OK and answer["status"] == requests.codes.ok:  # near miss: constants
        yield ctx.call_activity(act, input=answer)
    target = httpx.URL(url)  # near miss: a value
    timeout = httpx.Timeout(5.0)  # near miss: a value
    return {"host": target.host, "timeout": timeout.connect}


class Get:
    def get(self, url: str) -> str:
        return f"GET {url}"


@wfr.workflow
def described(ctx: wf.WorkflowContext, url: str):
    httpx = Get()
    text = httpx.get(url)  # near miss: a local of that name
    yield ctx.call_activity(act, input={"text": text})
