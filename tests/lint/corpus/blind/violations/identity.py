"""Ids that a replay makes anew, and numbers that belong to one process."""

import uuid
from datetime import timedelta
from uuid import uuid4

import tenuto as wf

import shortuuid
from bson import ObjectId
from nanoid import generate as nano

wfr = wf.WorkflowRuntime()


@wfr.activity
def create_ticket(ctx: wf.WorkflowActivityContext, ticket: dict) -> str:
    return ticket["id"]


@wfr.workflow
def open_ticket(ctx: wf.WorkflowContext, text: str):
    ticket_id = str(uuid.uuid4())  # violation: identity: use ctx.new_uuid()
    return (yield ctx.call_activity(create_ticket, input={"id": ticket_id, "text": text}))


@wfr.workflow
def open_tickets(ctx: wf.WorkflowContext, texts: list):
    tickets = [{"id": uuid4().hex, "text": text} for text in texts]  # violation: identity: in a comprehension
    return (yield wf.when_all([ctx.call_activity(create_ticket, input=ticket) for ticket in tickets]))


@wfr.workflow
def open_ticket_v1(ctx: wf.WorkflowContext, text: str):
    ticket_id = uuid.uuid1().hex  # violation: identity: host address and clock
    return (yield ctx.call_activity(create_ticket, input={"id": ticket_id, "text": text}))


@wfr.workflow
def child_with_random_id(ctx: wf.WorkflowContext, text: str):
    return (yield ctx.call_child_workflow(open_ticket, input=text, instance_id=f"ticket-{uuid4()}"))  # violation: identity: the child's id differs in a replay


@wfr.workflow
def sharded(ctx: wf.WorkflowContext, customer: str):
    shard = hash(customer) % 16  # violation: identity: hashes of strings are salted per process
    return (yield ctx.call_activity(create_ticket, input={"id": f"{shard}/{customer}"}))


@wfr.workflow
def by_address(ctx: wf.WorkflowContext, tickets: list):
    first = min(tickets, key=id)  # violation: identity: orders by memory address
    yield ctx.call_activity(create_ticket, input=first)
    return id(first)  # violation: identity: a memory address in the result


@wfr.workflow
def short_ids(ctx: wf.WorkflowContext, text: str):
    slug = shortuuid.uuid()  # violation: identity: a random id of a third-party library
    public = nano(size=10)  # violation: identity: another one
    row = str(ObjectId())  # violation: identity: clock, process and a counter
    yield ctx.create_timer(timedelta(seconds=1))
    return (yield ctx.call_activity(create_ticket, input={"id": slug, "public": public, "row": row}))
