"""One generator for all executions: who draws when depends on the others."""

import random

import numpy as np

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


rng = random.Random(7)  # via(module)
noise = np.random.default_rng(7)  # via(numpy)


@wfr.workflow
def assigned(ctx: wf.WorkflowContext, job: dict):
    worker = rng.choice(job["workers"])  # violation(module): TEN123: a seeded generator of the module
    yield ctx.call_activity(act, input={"worker": worker})


class Router:
    rng = random.Random(1)  # via(class)

    def pick(self, routes: list) -> str:
        return self.rng.choice(routes)  # violation(class): TEN123: a generator of the class


@wfr.workflow
async def routed(ctx: wf.WorkflowContext, job: dict) -> None:
    route = Router().pick(job["routes"])  # via(class)
    await ctx.call_activity(act, input={"route": route})


@wfr.workflow
def noisy(ctx: wf.WorkflowContext, job: dict):
    value = job["value"] + noise.normal()  # violation(numpy): TEN123: numpy's, of the module
    yield ctx.call_activity(act, input={"value": value})
