"""Work handed to other threads and processes."""

import asyncio
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor as Pool

import anyio.to_thread
import joblib

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


executor = Pool(2)


def square(n: int) -> int:
    return n * n


@wfr.workflow
def mapped(ctx: wf.WorkflowContext, numbers: list):
    with ProcessPoolExecutor() as pool:  # violation(map): TEN162: processes
        squares = list(pool.map(square, numbers))  # via(map)
    yield ctx.call_activity(act, input={"squares": squares})


@wfr.workflow
def submitted(ctx: wf.WorkflowContext, number: int):
    future = executor.submit(square, number)  # violation(submit): TEN162: an executor of the module
    yield ctx.call_activity(act, input={"n": future.result()})  # via(submit)


async def offload(number: int) -> int:
    return await asyncio.to_thread(square, number)  # violation(offload): TEN162: in a helper


@wfr.workflow
async def offloaded(ctx: wf.WorkflowContext, number: int) -> None:
    await ctx.call_activity(act, input={"n": await offload(number)})  # via(offload)
    other = await anyio.to_thread.run_sync(square, number)  # violation: TEN162: another library's thread
    await ctx.call_activity(act, input={"n": other})


@wfr.workflow
def parallel(ctx: wf.WorkflowContext, numbers: list):
    squares = joblib.Parallel(n_jobs=2)(joblib.delayed(square)(n) for n in numbers)  # violation: TEN162: joblib
    yield ctx.call_activity(act, input={"squares": squares})
