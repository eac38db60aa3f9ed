"""Inputs that the codec knows."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    return value


@dataclass
class Job:
    name: str


@wfr.workflow
def sent(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input=Job("a"))  # near miss: a dataclass
    yield ctx.call_activity(act, input={"price": Decimal("1.5"), "raw": b"x"})  # near miss: known types
    yield ctx.call_activity(act, input=[n for n in range(3)])  # noqa: C416  # near miss: a list
    yield ctx.call_activity(act, input=sorted(job, key=lambda name: name.lower()))  # near miss: the function sorts
