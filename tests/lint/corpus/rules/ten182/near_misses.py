"""Views as they are, and operations that are sorted."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def changed(ctx: wf.WorkflowContext, state: dict):
    old, new = state["old"], state["new"]
    for key in old.keys():  # noqa: SIM118  # near miss: a view keeps the dictionary's order
        yield ctx.call_activity(act, input={"key": key})
    for key in sorted(old.keys() - new.keys()):  # near miss: sorted
        yield ctx.call_activity(act, input={"removed": key})
    if old.keys() & new.keys():  # near miss: only whether there are any
        yield ctx.call_activity(act, input={"both": True})
    for key in [key for key in new if key not in old]:  # near miss: the order of the dictionary
        yield ctx.call_activity(act, input={"added": key})
    flags = state["a"] | state["b"]
    return flags - 1  # near miss: numbers
