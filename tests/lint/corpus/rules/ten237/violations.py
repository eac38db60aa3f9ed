"""Turns that take long."""

import json

import pandas as pd

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def computed(ctx: wf.WorkflowContext, rows: list):
    frame = pd.DataFrame(rows).groupby("day").sum()  # violation: TEN237: a table's arithmetic in a turn
    best = 0
    for left in rows:
        for right in rows:  # violation: TEN237: every pair, again in each replay
            best = max(best, left["n"] * right["n"])
    yield ctx.call_activity(act, input={"best": best, "frame": json.loads(frame.to_json())})
