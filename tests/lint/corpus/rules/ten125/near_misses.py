"""The same libraries without chance."""

import numpy as np
import torch

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def split(ctx: wf.WorkflowContext, rows: list):
    rng = np.random.default_rng(rows[0]["seed"])  # near miss: seeded by the input
    order = rng.permutation(len(rows))  # near miss: drawn from it
    zeros = np.zeros(3)  # near miss: no chance
    fixed = np.random.RandomState(3).rand()  # near miss: a seeded state
    tensor = torch.zeros(2).tolist()  # near miss: no chance
    yield ctx.call_activity(act, input={"order": order.tolist(), "n": [*zeros, fixed, *tensor]})


@wfr.activity
def initialise(ctx: wf.WorkflowActivityContext, n: int) -> list:
    return torch.randn(n).tolist()  # near miss: in an activity


@wfr.activity
def shuffled(ctx: wf.WorkflowActivityContext, rows: list) -> list:
    np.random.shuffle(rows)  # near miss: in an activity
    return rows
