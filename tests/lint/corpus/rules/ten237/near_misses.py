"""Turns that are short."""

import json

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def computed(ctx: wf.WorkflowContext, rows: list):
    total = sum(row["n"] for row in rows)  # near miss: once over the input
    for row in rows:
        for name in ("mail", "sms"):  # near miss: twice each
            yield ctx.call_activity(act, input={"row": row, "name": name})
    config = json.loads(rows[0]["config"])  # near miss: a small text
    return {"total": total, **config}
