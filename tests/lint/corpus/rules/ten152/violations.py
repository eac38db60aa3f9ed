"""Lines written to the terminal."""

import sys
from pprint import pprint

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def banner(text: str) -> None:
    print("*" * 8, text)  # violation(banner): TEN152: in a helper


@wfr.workflow
def shouted(ctx: wf.WorkflowContext, order: dict):
    banner(order["id"])  # via(banner)
    pprint(order)  # violation: TEN152: prettily
    yield ctx.call_activity(act, input=order)
    sys.stdout.write("done\n")  # violation: TEN152: the stream itself
