"""Decisions by constants and inputs."""

from enum import Enum
from typing import Final

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


LIMIT: Final = 10
RATES = {"de": 19, "fr": 20}


class Tier(Enum):
    GOLD = "gold"
    SILVER = "silver"


@wfr.workflow
def gifted(ctx: wf.WorkflowContext, order: dict):
    if order["cents"] > LIMIT:  # near miss: a constant
        yield ctx.call_activity(act, input=order)
    if Tier(order["tier"]) is Tier.GOLD:  # near miss: an enumeration
        yield ctx.call_activity(act, input={"gift": True})
    if order["country"] in RATES:  # near miss: a table that nobody changes
        yield ctx.call_activity(act, input={"rate": RATES[order["country"]]})
    flags = yield ctx.call_activity(act, input={"flags": True})
    if flags["beta"]:  # near miss: an activity's result
        yield ctx.call_activity(act, input={"beta": True})
