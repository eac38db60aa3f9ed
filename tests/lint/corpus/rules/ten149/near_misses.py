"""Names that are data, and the machine where it may be asked."""

import os
import platform
import sys

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def where(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    return f"{platform.node()}/{os.getpid()}/{sys.platform}"  # near miss: in an activity


@wfr.workflow
def placed(ctx: wf.WorkflowContext, job: dict):
    platform = job["platform"]
    node = platform["node"]  # near miss: a local of that name
    yield ctx.call_activity(where, input={"node": node})
    return job["pid"]  # near miss: a field called pid


class Fleet:
    def cpu_count(self) -> int:
        return 4


@wfr.workflow
def fleet(ctx: wf.WorkflowContext, job: dict):
    for number in range(Fleet().cpu_count()):  # near miss: a method of that name
        yield ctx.call_activity(act, input={"n": number})


if __name__ == "__main__":
    print(platform.node(), sys.argv)  # near miss: the program
