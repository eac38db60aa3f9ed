"""The generator that all of a process shares."""

import random
from random import choices, randrange as number

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def sampled(ctx: wf.WorkflowContext, jobs: list):
    for job in random.sample(jobs, 3):  # violation: TEN121: which jobs
        yield ctx.call_activity(act, input=job)


def weighted(jobs: list) -> dict:
    return choices(jobs, weights=[job["weight"] for job in jobs])[0]  # violation(weighted): TEN121: in a helper, by import


@wfr.workflow
async def one_of(ctx: wf.WorkflowContext, jobs: list) -> dict:
    return await ctx.call_activity(act, input=weighted(jobs))  # via(weighted)


class Canary:
    def __init__(self, share: int) -> None:
        self.share = share

    @property
    def is_chosen(self) -> bool:
        return number(100) < self.share  # violation(canary): TEN121: in a property


@wfr.workflow
def rolled_out(ctx: wf.WorkflowContext, job: dict):
    if Canary(job["share"]).is_chosen:  # via(canary)
        yield ctx.call_activity(act, input={**job, "canary": True})


@wfr.workflow
def seeded(ctx: wf.WorkflowContext, jobs: list):
    random.seed(42)  # violation: TEN121: seeds the generator of the whole process
    yield ctx.call_activity(act, input=jobs[0])
    return random.gauss(0, 1)  # violation: TEN121: others have drawn from it meanwhile
