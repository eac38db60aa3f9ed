"""Decisions by what may change meanwhile."""

import ldclient
from django.conf import settings

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


flags = {"gift": False}
limit = 10


def set_flag(name: str, value: bool) -> None:
    flags[name] = value


def raise_limit() -> None:
    global limit
    limit += 10


@wfr.workflow
def gifted(ctx: wf.WorkflowContext, order: dict):
    if flags["gift"]:  # violation: TEN202: set by somebody else, at any time
        yield ctx.call_activity(act, input=order)
    if order["cents"] > limit:  # violation: TEN202: raised by somebody else
        yield ctx.call_activity(act, input={"big": True})
    if settings.SHIPPING_ENABLED:  # violation: TEN202: another setting after a deployment
        yield ctx.call_activity(act, input={"ship": True})
    if ldclient.get().variation("beta", {}, False):  # violation: TEN202: a flag of a service
        yield ctx.call_activity(act, input={"beta": True})
