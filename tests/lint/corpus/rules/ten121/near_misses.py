"""Chance that a replay repeats."""

import random

import numpy as np

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def sampled(ctx: wf.WorkflowContext, jobs: list):
    for job in ctx.random().sample(jobs, 3):  # near miss: the context's
        yield ctx.call_activity(act, input=job)


def weighted(jobs: list, rng: random.Random) -> dict:
    return rng.choices(jobs, weights=[job["weight"] for job in jobs])[0]  # near miss: a given generator


@wfr.workflow
async def one_of(ctx: wf.WorkflowContext, jobs: list) -> dict:
    rng = random.Random(jobs[0]["seed"])  # near miss: seeded by the input
    random.shuffle  # noqa: B018  # near miss: not called
    return await ctx.call_activity(act, input=weighted(jobs, rng))


@wfr.workflow
def averaged(ctx: wf.WorkflowContext, rows: list):
    choice = np.argmax(rows)  # near miss: arithmetic
    return (yield ctx.call_activity(act, input={"choice": int(choice)}))


class Dice:
    def randint(self, low: int, high: int) -> int:
        return (low + high) // 2


@wfr.workflow
def diced(ctx: wf.WorkflowContext, job: dict):
    random = Dice()
    return (yield ctx.call_activity(act, input={"n": random.randint(1, 6)}))  # near miss: a local of that name
