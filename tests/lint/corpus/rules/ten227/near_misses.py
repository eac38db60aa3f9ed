"""Generators and coroutines that are run."""

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
    yield from send_all(ctx, names)  # near miss: delegates
    for task in send_all(ctx, names):  # near miss: runs the generator, and waits for each
        yield task
    rest = send_all(ctx, names[1:])
    yield from rest  # near miss: delegates to a variable


@wfr.workflow
async def sent_one(ctx: wf.WorkflowContext, names: list) -> None:
    await send_one(ctx, names[0])  # near miss: awaited
    coroutine = send_one(ctx, names[1])  # near miss: awaited below
    await coroutine
    squares = [n * n async for n in counted(3)]  # near miss: an asynchronous generator of its own
    await ctx.call_activity(act, input={"n": squares})


async def counted(n: int):
    for number in range(n):
        yield number


@wfr.workflow
def constant(ctx: wf.WorkflowContext, name: str):
    return name.upper()  # near miss: a workflow that waits for nothing
