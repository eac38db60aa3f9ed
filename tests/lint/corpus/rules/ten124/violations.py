"""Ids that are made anew."""

import uuid
from uuid import uuid1, uuid4 as new_id

import nanoid
import ulid
from bson import ObjectId

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def traced(ctx: wf.WorkflowContext, job: dict):
    trace = new_id().hex  # violation: TEN124: uuid4 under another name
    yield ctx.call_activity(act, input={**job, "trace": trace})
    return uuid.getnode()  # violation: TEN124: the machine's address


def row_id() -> str:
    return str(ulid.new())  # violation(row): TEN124: a helper's ULID


@wfr.workflow
async def stored(ctx: wf.WorkflowContext, job: dict) -> None:
    job["row"] = row_id()  # via(row)
    job["document"] = str(ObjectId())  # violation: TEN124: of a document store
    job["slug"] = nanoid.generate(size=8)  # violation: TEN124: of nanoid
    await ctx.call_activity(act, input=job)


@wfr.workflow
def keyed(ctx: wf.WorkflowContext, jobs: list):
    keys = {job["id"]: str(uuid1()) for job in jobs}  # violation: TEN124: in a dictionary comprehension
    yield ctx.call_activity(act, input=keys)
