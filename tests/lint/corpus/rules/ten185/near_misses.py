"""Sorting that leaves no ties, or whose source has an order."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def ranked(ctx: wf.WorkflowContext, players: list):
    for player in sorted(players, key=lambda p: p["score"]):  # near miss: a list; sorting is stable
        yield ctx.call_activity(act, input=player)
    names = sorted({p["name"] for p in players}, key=lambda name: (len(name), name))  # near miss: a tie-breaker
    yield ctx.call_activity(act, input={"names": names})
    return max({p["score"] for p in players})  # near miss: the greatest is one
