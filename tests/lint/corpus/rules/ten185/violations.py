"""Sorting and choosing that leave ties to an unordered source."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def ranked(ctx: wf.WorkflowContext, players: list):
    for player in sorted({p["name"] for p in players}, key=len):  # violation: TEN185: names of one length stay in the set's order
        yield ctx.call_activity(act, input={"player": player})
    longest = max({p["name"] for p in players}, key=len)  # violation: TEN185: any of the longest
    yield ctx.call_activity(act, input={"longest": longest})
