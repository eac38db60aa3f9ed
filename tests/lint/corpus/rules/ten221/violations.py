"""Things yielded that are no tasks."""

import asyncio

import httpx

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def total(rows: list) -> int:
    return sum(row["n"] for row in rows)


@wfr.workflow
def counted(ctx: wf.WorkflowContext, rows: list):
    for number in range(3):
        yield number  # violation: TEN221: a number
    yield total(rows)  # violation: TEN221: what a plain function returns
    yield  # violation: TEN221: nothing at all
    yield ctx.call_activity(act, input={"rows": rows})


@wfr.workflow
async def awaited(ctx: wf.WorkflowContext, url: str) -> None:
    queue: asyncio.Queue = asyncio.Queue()  # via(queue)
    await queue.get()  # violation(queue): TEN221: a future of the event loop
    await ctx.call_activity(act, input={"url": url})


@wfr.workflow
def listed(ctx: wf.WorkflowContext, rows: list):
    done = yield [ctx.call_activity(act, input=row) for row in rows]  # violation: TEN221: a list, wf.when_all is meant
    yield httpx.AsyncClient().get("https://example.org")  # violation: TEN221: a coroutine of somebody else
    return done
