"""Chance of other libraries."""

import tempfile

import numpy as np
import torch
from faker import Faker
from numpy.random import rand

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def split(ctx: wf.WorkflowContext, rows: list):
    order = np.random.permutation(len(rows))  # violation: TEN125: numpy's global generator
    mask = rand(len(rows)) < 0.8  # violation: TEN125: imported from numpy.random
    yield ctx.call_activity(act, input={"order": order.tolist(), "mask": mask.tolist()})


def initial(n: int) -> list:
    return torch.randn(n).tolist()  # violation(initial): TEN125: torch, in a helper


@wfr.workflow
async def trained(ctx: wf.WorkflowContext, job: dict) -> None:
    await ctx.call_activity(act, input={"weights": initial(job["n"])})  # via(initial)
    name = Faker().name()  # violation: TEN125: made-up people
    await ctx.call_activity(act, input={"name": name})


@wfr.workflow
def scratch(ctx: wf.WorkflowContext, job: dict):
    path = tempfile.mktemp(suffix=".csv")  # violation: TEN125: a random file name
    yield ctx.call_activity(act, input={"path": path})
