"""Ids that are data."""

from dataclasses import dataclass

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@dataclass
class Node:
    id: int
    name: str


@wfr.workflow
def tracked(ctx: wf.WorkflowContext, rows: list):
    nodes = [Node(row["id"], row["name"]) for row in rows]
    for node in sorted(nodes, key=lambda node: node.id):  # near miss: a field called id
        yield ctx.call_activity(act, input={"node": repr(node)})  # near miss: a dataclass's repr shows its fields
    id = rows[0]["id"]
    return f"{id}"  # near miss: a local called id


@wfr.activity
def address(ctx: wf.WorkflowActivityContext, job: dict) -> int:
    return id(job)  # near miss: in an activity


def debug(value: object) -> str:
    return hex(id(value))  # near miss: no workflow calls it
