"""Inputs that are arguments."""

import sys

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def confirmed(ctx: wf.WorkflowContext, input: dict):  # noqa: A002
    if input["confirmed"]:  # near miss: the workflow's input
        yield ctx.call_activity(act, input=input)  # near miss: a keyword


def main() -> None:
    order = input("which order? ")  # near miss: the starter asks
    rest = sys.stdin.read()  # near miss: and reads
    with wf.WorkflowClient() as client:
        client.schedule_new_workflow(confirmed, input={"confirmed": bool(order + rest)})
