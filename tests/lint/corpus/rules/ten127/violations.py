"""Addresses in memory."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Node:
    def __init__(self, name: str) -> None:
        self.name = name


@wfr.workflow
def tracked(ctx: wf.WorkflowContext, names: list):
    nodes = [Node(name) for name in names]
    seen = {id(node): node.name for node in nodes}  # violation: TEN127: keys that differ
    yield ctx.call_activity(act, input={"seen": list(seen)})


@wfr.workflow
async def sorted_by_id(ctx: wf.WorkflowContext, names: list) -> None:
    for node in sorted((Node(name) for name in names), key=id):  # violation: TEN127: the order of addresses
        await ctx.call_activity(act, input={"name": node.name})


def label(value: object) -> str:
    return f"{id(value):x}"  # violation(label): TEN127: in a helper


@wfr.workflow
def labelled(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={"label": label(job)})  # via(label)
    return repr(object())  # violation: TEN127: the default repr shows the address
