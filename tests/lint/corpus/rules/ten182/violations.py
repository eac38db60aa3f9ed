"""Set operations on views and frozen sets."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def changed(ctx: wf.WorkflowContext, state: dict):
    old, new = state["old"], state["new"]
    for key in old.keys() - new.keys():  # violation: TEN182: a difference of keys is a set
        yield ctx.call_activity(act, input={"removed": key})
    for key in list(new.keys() | old.keys()):  # violation: TEN182: a union of keys
        yield ctx.call_activity(act, input={"key": key})
    for pair in old.items() ^ new.items():  # violation: TEN182: of items
        yield ctx.call_activity(act, input={"pair": pair})
    for name in frozenset(state["names"]).union(["root"]):  # violation: TEN182: a union of a frozenset
        yield ctx.call_activity(act, input={"name": name})
