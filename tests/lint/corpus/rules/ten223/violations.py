"""Activities called as functions."""

from functools import partial

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
async def mail(ctx: wf.WorkflowActivityContext, to: str) -> None: ...


def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


wfr.register_activity(charge)


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    receipt = charge(ctx, order)  # violation: TEN223: registered, not decorated
    yield ctx.call_activity(act, input=receipt)


@wfr.workflow
async def mailed(ctx: wf.WorkflowContext, to: str) -> None:
    await mail(ctx, to)  # violation: TEN223: its coroutine
    await ctx.call_activity(act, input={"to": to})


def settle(ctx: wf.WorkflowContext, order: dict) -> dict:
    return act(ctx, order)  # violation(settle): TEN223: in a helper


@wfr.workflow
def settled(ctx: wf.WorkflowContext, orders: list):
    settled_orders = [settle(ctx, order) for order in orders]  # via(settle)
    pay = partial(charge, ctx)  # via(partial)
    first = pay(orders[0])  # violation(partial): TEN223: by a partial
    yield ctx.call_activity(act, input={"orders": settled_orders, "first": first})
    yield charge(None, orders[0])  # violation: TEN223: yielded, but run here
