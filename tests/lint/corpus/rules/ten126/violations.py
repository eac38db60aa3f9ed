"""Hashes that are salted per process."""

from dataclasses import dataclass

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@dataclass(frozen=True)
class Key:
    tenant: str
    sku: str


@wfr.workflow
def sharded(ctx: wf.WorkflowContext, order: dict):
    shard = abs(hash(order["customer"])) % 8  # violation: TEN126: of a string
    yield ctx.call_activity(act, input={"shard": shard})


@wfr.workflow
async def cached(ctx: wf.WorkflowContext, order: dict) -> int:
    key = Key(order["tenant"], order["sku"])
    await ctx.call_activity(act, input={"key": hash(key)})  # violation: TEN126: of an object with strings
    return hash((order["tenant"], order["sku"]))  # violation: TEN126: of a tuple of strings


def bucket(name: str, of: int) -> int:
    return hash(name) % of  # violation(bucket): TEN126: in a helper


@wfr.workflow
def bucketed(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(act, input={"bucket": bucket(order["id"], 4)})  # via(bucket)


@wfr.workflow
def ordered(ctx: wf.WorkflowContext, names: list):
    for name in sorted(names, key=hash):  # violation: TEN126: as a key of sorting
        yield ctx.call_activity(act, input={"name": name})
