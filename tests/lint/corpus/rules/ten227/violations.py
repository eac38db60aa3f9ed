"""Generators and coroutines mixed up."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def send_all(ctx: wf.WorkflowContext, names: list):
    for name in names:
        yield ctx.call_activity(act, input={"name": name})


async def send_one(ctx: wf.WorkflowContext, name: str) -> None:
    await ctx.call_activity(act, input={"name": name})


@wfr.workflow
def sent(ctx: wf.WorkflowContext, names: list):
    send_all(ctx, names)  # violation: TEN227: a generator that nobody runs
    yield ctx.call_activity(act, input={"done": True})


@wfr.workflow
def yielded(ctx: wf.WorkflowContext, names: list):
    yield send_all(ctx, names)  # violation: TEN227: yield instead of yield from
    yield ctx.call_activity(act, input={"done": True})


@wfr.workflow
async def sent_one(ctx: wf.WorkflowContext, name: str) -> None:
    send_one(ctx, name)  # violation: TEN227: a coroutine that nobody awaits
    await ctx.call_activity(act, input={"done": True})


@wfr.workflow
async def both(ctx: wf.WorkflowContext, name: str):  # via(both)
    await ctx.call_activity(act, input={"name": name})
    yield ctx.call_activity(act, input={"done": True})  # violation(both): TEN227: an asynchronous generator
