"""Children whose ids follow from what is known."""

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
    for number, parcel in enumerate(parcels):
        yield ctx.call_child_workflow(ship, input=parcel, instance_id=f"{ctx.instance_id}/{number}")  # near miss: the parent's id and a number
    yield ctx.call_child_workflow(ship, input=parcels[0], instance_id=str(ctx.new_uuid()))  # near miss: the context's uuid
    yield ctx.call_child_workflow(ship, input=parcels[0])  # near miss: left to the engine
    named = yield ctx.call_activity(act, input={"name": "child"})
    yield ctx.call_child_workflow(ship, input=parcels[0], instance_id=named["name"])  # near miss: an activity's result
