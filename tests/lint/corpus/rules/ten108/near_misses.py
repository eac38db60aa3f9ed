"""Such types where no workflow makes one, or gives the field."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@dataclass
class Receipt:
    text: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))  # near miss: only an activity makes one
    lines: list = field(default_factory=list)  # near miss: an empty list


@dataclass
class Order:
    items: list = field(default_factory=list)  # near miss: an empty list
    labels: dict = field(default_factory=dict)  # near miss: an empty dictionary


@dataclass
class Command:
    name: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))  # near miss: the workflow gives it


@wfr.activity
def print_receipt(ctx: wf.WorkflowActivityContext, text: str) -> Receipt:
    return Receipt(text)


@wfr.workflow
def buy(ctx: wf.WorkflowContext, text: str):
    yield ctx.call_activity(act, input=Order())
    yield ctx.call_activity(act, input=Command("buy", str(ctx.new_uuid())))
    receipt: Receipt = yield ctx.call_activity(print_receipt, input=text)
    return receipt
