"""Types whose fields ask the clock or chance whenever one is made."""

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import BaseModel, Field

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@dataclass
class Event:
    kind: str
    at: datetime = field(default_factory=datetime.utcnow)  # violation(at): TEN108: made in a workflow below


class Message(BaseModel):
    text: str
    id: str = Field(default_factory=lambda: uuid.uuid4().hex)  # violation(id): TEN108: a lambda of pydantic's Field


@dataclass
class Job:
    name: str
    began: float = field(default_factory=time.time)  # violation(began): TEN108: made by a helper


def job_of(name: str) -> Job:
    return Job(name)  # via(began)


@wfr.workflow
def notify(ctx: wf.WorkflowContext, name: str):
    yield ctx.call_activity(act, input=Event("begun"))  # via(at)
    yield ctx.call_activity(act, input=Message(text=name))  # via(id)
    yield ctx.call_activity(act, input=job_of(name))  # via(began)
    return Event("ended", at=datetime(2024, 1, 1, tzinfo=UTC))
