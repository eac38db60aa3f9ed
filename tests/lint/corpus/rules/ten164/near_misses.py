"""The first of several tasks, by history."""

import asyncio

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
async def first_done(ctx: wf.WorkflowContext, jobs: list) -> dict:
    tasks = [ctx.call_activity(act, input=job) for job in jobs]
    winner = await wf.when_any(tasks)  # near miss: recorded
    return winner.get_result()


@wfr.workflow
async def as_they_come(ctx: wf.WorkflowContext, jobs: list) -> list:
    left = [ctx.call_activity(act, input=job) for job in jobs]
    results = []
    while left:  # near miss: ends when all are done
        done = await wf.when_any(left)
        left.remove(done)
        results.append(done.get_result())
    return results


@wfr.activity
async def crawl(ctx: wf.WorkflowActivityContext, urls: list) -> list:
    done, _ = await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0, url)) for url in urls])  # near miss: in an activity
    return sorted(task.result() for task in done)


class Waiter:
    def wait(self, table: int) -> int:
        return table


@wfr.workflow
async def served(ctx: wf.WorkflowContext, table: int) -> None:
    await ctx.call_activity(act, input={"table": Waiter().wait(table)})  # near miss: a method called wait
