"""Code loaded before, or by activities."""

import importlib

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


tools = importlib.import_module("json")  # near miss: when the module is imported


@wfr.activity
def plugged(ctx: wf.WorkflowActivityContext, job: dict) -> dict:
    return importlib.import_module(f"plugins.{job['kind']}").prepare(job)  # near miss: in an activity


@wfr.workflow
def prepared(ctx: wf.WorkflowContext, job: dict):
    from math import floor  # near miss: a small part of the standard library

    yield ctx.call_activity(plugged, input={**job, "n": floor(job["n"]), "text": tools.dumps(job)})
