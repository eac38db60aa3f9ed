"""Generators that belong to one execution, or to activities."""

import random

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


rng = random.Random(7)
SEED = 7


@wfr.activity
def assign(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    return rng.choice(job["workers"])  # near miss: an activity draws from the module's


@wfr.workflow
def assigned(ctx: wf.WorkflowContext, job: dict):
    own = random.Random(SEED)  # near miss: made anew in each execution
    worker = own.choice(job["workers"])  # near miss: drawn from it
    yield ctx.call_activity(assign, input={"worker": worker})


@wfr.workflow
def shadowed(ctx: wf.WorkflowContext, job: dict):
    rng = ctx.random()
    return (yield ctx.call_activity(act, input={"n": rng.random()}))  # near miss: the context's, under the module's name
