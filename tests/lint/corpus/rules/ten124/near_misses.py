"""Ids that are given or derived."""

import uuid
from uuid import UUID, uuid5

from bson import ObjectId

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def traced(ctx: wf.WorkflowContext, job: dict):
    trace = ctx.new_uuid().hex  # near miss: the context's
    key = uuid5(uuid.NAMESPACE_URL, job["url"])  # near miss: derived
    parent = UUID(hex=job["parent"])  # near miss: parsed
    nothing = UUID(int=0)  # near miss: a constant
    document = ObjectId(job["document"])  # near miss: parsed
    yield ctx.call_activity(act, input={"ids": [trace, str(key), str(parent), str(nothing), str(document)]})


@wfr.activity
def create(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    return str(uuid.uuid4())  # near miss: in an activity


@wfr.workflow
def created(ctx: wf.WorkflowContext, job: dict):
    uuid4 = yield ctx.call_activity(create, input=job)
    return str(uuid4)  # near miss: a local of that name
