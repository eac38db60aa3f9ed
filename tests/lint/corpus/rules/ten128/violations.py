"""Children whose ids a replay cannot find again."""

import random
import time
import uuid

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def ship(ctx: wf.WorkflowContext, parcel: dict):
    return (yield ctx.call_activity(act, input=parcel))


@wfr.workflow
def shipped(ctx: wf.WorkflowContext, parcels: list):
    for parcel in parcels:
        child = f"ship-{uuid.uuid4()}"  # via(uuid)
        yield ctx.call_child_workflow(ship, input=parcel, instance_id=child)  # violation(uuid): TEN128: made of a uuid


@wfr.workflow
async def shipped_at(ctx: wf.WorkflowContext, parcel: dict) -> None:
    await ctx.call_child_workflow(ship, input=parcel, instance_id=f"ship-{time.time():.0f}")  # violation: TEN128: made of the clock


def child_id(parcel: dict) -> str:
    return f"{parcel['id']}-{random.randint(0, 999)}"  # via(random)


@wfr.workflow
def shipped_somehow(ctx: wf.WorkflowContext, parcel: dict):
    name = child_id(parcel)  # via(random)
    yield ctx.call_child_workflow(ship, input=parcel, instance_id=name)  # violation(random): TEN128: made by a helper
