"""Changes to the process that all others feel."""

import decimal
import os
import sys
import warnings

import json as codec

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def tuned(ctx: wf.WorkflowContext, job: dict):
    os.chdir(job["folder"])  # violation: TEN207: the working directory of everybody
    sys.setrecursionlimit(10_000)  # violation: TEN207: of everybody
    warnings.filterwarnings("ignore")  # violation: TEN207: of everybody
    decimal.setcontext(decimal.ExtendedContext)  # violation: TEN207: of the worker's thread
    setattr(codec, "dumps", str)  # noqa: B010  # violation: TEN207: patches a module
    yield ctx.call_activity(act, input=job)
