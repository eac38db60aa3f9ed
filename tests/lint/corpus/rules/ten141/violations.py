"""HTTP from inside a workflow."""

import http.client
import urllib.request as web

import aiohttp
import httpx
import urllib3
from requests import get as fetch

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


pool = urllib3.PoolManager()
client = httpx.Client(base_url="https://api.example")


@wfr.workflow
def enriched(ctx: wf.WorkflowContext, lead: dict):
    company = fetch(f"https://companies.example/{lead['domain']}").json()  # violation: TEN141: requests.get under another name
    yield ctx.call_activity(act, input={**lead, "company": company})


class Api:
    def __init__(self) -> None:
        self.http = httpx.Client()  # via(api)

    def plan(self, user: str) -> str:
        return self.http.get(f"/plans/{user}").text  # violation(api): TEN141: a client kept in an attribute


@wfr.workflow
async def upgraded(ctx: wf.WorkflowContext, user: str) -> None:
    api = Api()  # via(api)
    plan = api.plan(user)  # via(api)
    await ctx.call_activity(act, input={"plan": plan})


@wfr.workflow
def by_module_client(ctx: wf.WorkflowContext, user: str):
    answer = client.post("/notify", json={"user": user})  # violation: TEN141: a client of the module
    if answer.is_success:
        yield ctx.call_activity(act, input={"user": user})


@wfr.workflow
async def streamed(ctx: wf.WorkflowContext, url: str) -> None:
    async with aiohttp.ClientSession() as session:  # via(stream)
        async with session.get(url) as answer:  # violation(stream): TEN141: aiohttp
            body = await answer.text()  # via(stream)
    await ctx.call_activity(act, input={"body": body})


@wfr.workflow
def old(ctx: wf.WorkflowContext, host: str):
    connection = http.client.HTTPSConnection(host)  # violation(old): TEN141: the lowest level
    connection.request("GET", "/")  # via(old)
    connection.getresponse()  # via(old)
    page = pool.request("GET", f"https://{host}")  # violation: TEN141: urllib3's pool
    web.urlretrieve(f"https://{host}/logo.png", "logo.png")  # violation: TEN141: urllib under another name
    yield ctx.call_activity(act, input={"page": page.data.decode()})
