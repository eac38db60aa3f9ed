"""The process's variables."""

import os
from os import environ as env, getenv

from dotenv import dotenv_values
from pydantic_settings import BaseSettings

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Limits(BaseSettings):
    top: int = 5


@wfr.workflow
def routed(ctx: wf.WorkflowContext, order: dict):
    if env["REGION"] == "eu":  # violation: TEN148: the mapping under another name
        yield ctx.call_activity(act, input=order)
    if getenv("BETA") == "1":  # violation: TEN148: imported
        yield ctx.call_activity(act, input={**order, "beta": True})


def flag(name: str) -> bool:
    return os.environ.get(f"FLAG_{name}", "0") == "1"  # violation(flag): TEN148: in a helper


@wfr.workflow
async def flagged(ctx: wf.WorkflowContext, order: dict) -> None:
    if flag("GIFT"):  # via(flag)
        await ctx.call_activity(act, input=order)
    for name, value in os.environ.items():  # violation: TEN148: all of them
        await ctx.call_activity(act, input={name: value})


@wfr.workflow
def limited(ctx: wf.WorkflowContext, order: dict):
    limits = Limits()  # violation: TEN148: settings read them
    file = dotenv_values(".env")  # violation: TEN148: their file
    yield ctx.call_activity(act, input={"top": limits.top, **file})
    os.environ["LAST"] = order["id"]  # violation: TEN148: written
