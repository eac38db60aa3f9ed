"""Configuration that is passed on, and variables where they may be read."""

import os

from pydantic import BaseModel

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Limits(BaseModel):
    top: int = 5


@wfr.activity
def read_flags(ctx: wf.WorkflowActivityContext, names: list) -> dict:
    return {name: os.environ.get(name) for name in names}  # near miss: in an activity


@wfr.workflow
def flagged(ctx: wf.WorkflowContext, order: dict):
    flags = yield ctx.call_activity(read_flags, input=["GIFT"])
    environ = order["environ"]
    if flags["GIFT"] and environ.get("REGION") == "eu":  # near miss: a dictionary of that name
        yield ctx.call_activity(act, input=order)
    limits = Limits()  # near miss: a plain model
    return limits.top


def main() -> None:
    with wf.WorkflowClient(engine=os.environ["TENUTO_ENGINE"]) as client:  # near miss: the starter
        client.schedule_new_workflow(flagged, input={"environ": dict(os.environ)})  # near miss: becomes the input


class Context:
    def getenv(self, name: str) -> str:
        return name


@wfr.workflow
def named(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(act, input={"a": Context().getenv("A")})  # near miss: a method of that name
