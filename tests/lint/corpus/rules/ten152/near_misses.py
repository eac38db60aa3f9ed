"""Printing that is none, or happens once."""

import io

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Press:
    def print(self, text: str) -> str:
        return text


@wfr.workflow
def printed(ctx: wf.WorkflowContext, order: dict):
    page = Press().print(order["id"])  # near miss: a method of that name
    buffer = io.StringIO()
    print(page, file=buffer)  # near miss: into memory
    yield ctx.call_activity(act, input={"page": buffer.getvalue()})
    if not ctx.is_replaying:
        print("done")  # near miss: once, not while replaying


@wfr.activity
def shout(ctx: wf.WorkflowActivityContext, order: dict) -> None:
    print(order)  # near miss: in an activity
