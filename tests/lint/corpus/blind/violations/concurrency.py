"""Workflows that make threads, event-loop tasks and pauses of their own."""

import asyncio
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pool

import anyio

import tenuto as wf

wfr = wf.WorkflowRuntime()
lock = threading.Lock()
results = queue.Queue()


@wfr.activity
def embed(ctx: wf.WorkflowActivityContext, text: str) -> list:
    return [float(len(text))]


def normalise(text: str) -> str:
    return text.strip().lower()


@wfr.workflow
def polite(ctx: wf.WorkflowContext, texts: list):
    for text in texts:
        yield ctx.call_activity(embed, input=text)
        time.sleep(1)  # violation: concurrency: blocks the worker, and waits again in each replay


@wfr.workflow
async def polite_async(ctx: wf.WorkflowContext, texts: list) -> None:
    for text in texts:
        await ctx.call_activity(embed, input=text)
        await asyncio.sleep(1)  # violation: concurrency: not a durable timer


@wfr.workflow
async def gathered(ctx: wf.WorkflowContext, texts: list) -> list:
    return await asyncio.gather(*(ctx.call_activity(embed, input=text) for text in texts))  # violation: concurrency: wf.when_all is meant


@wfr.workflow
async def background(ctx: wf.WorkflowContext, texts: list) -> list:
    task = asyncio.create_task(index(ctx, texts))  # violation(task): concurrency: runs when the loop likes
    await ctx.call_activity(embed, input=texts[0])
    return await task  # via(task)


async def index(ctx: wf.WorkflowContext, texts: list) -> list:
    return [await ctx.call_activity(embed, input=text) for text in texts]


@wfr.workflow
async def patient(ctx: wf.WorkflowContext, text: str) -> str:
    try:
        async with asyncio.timeout(30):  # violation: concurrency: the loop's clock decides
            await ctx.wait_for_external_event("approved")
    except TimeoutError:
        return "too late"
    return text


@wfr.workflow
async def patient_old(ctx: wf.WorkflowContext, text: str) -> str:
    await asyncio.wait_for(ctx.wait_for_external_event("approved"), timeout=30)  # violation: concurrency: the same by wait_for
    return text


@wfr.workflow
async def offloaded(ctx: wf.WorkflowContext, text: str) -> list:
    clean = await asyncio.to_thread(normalise, text)  # violation: concurrency: awaits a thread
    loop = asyncio.get_running_loop()  # via(executor)
    cleaner = await loop.run_in_executor(None, normalise, clean)  # violation(executor): concurrency: the same
    return await ctx.call_activity(embed, input=cleaner)


@wfr.workflow
def threaded(ctx: wf.WorkflowContext, texts: list):
    thread = threading.Thread(target=results.put, args=(texts,))  # violation(thread): concurrency: a thread for every replay
    thread.start()  # via(thread)
    yield ctx.call_activity(embed, input=texts[0])
    return results.get()  # violation: concurrency: blocks until some thread has put something


@wfr.workflow
def pooled(ctx: wf.WorkflowContext, texts: list):
    with ThreadPoolExecutor(max_workers=4) as pool:  # violation(pool): concurrency: a pool inside the workflow
        clean = list(pool.map(normalise, texts))  # via(pool)
    return (yield wf.when_all([ctx.call_activity(embed, input=text) for text in clean]))


@wfr.workflow
def forked(ctx: wf.WorkflowContext, texts: list):
    with Pool(4) as pool:  # violation(processes): concurrency: processes inside the workflow
        clean = pool.map(normalise, texts)  # via(processes)
    return (yield wf.when_all([ctx.call_activity(embed, input=text) for text in clean]))


@wfr.workflow
def locked(ctx: wf.WorkflowContext, text: str):
    with lock:  # violation: concurrency: held across a wait, it blocks every other turn of the worker
        return (yield ctx.call_activity(embed, input=text))


@wfr.workflow
def nested_loop(ctx: wf.WorkflowContext, texts: list):
    vectors = asyncio.run(index(ctx, texts))  # violation: concurrency: an event loop inside a workflow
    yield ctx.call_activity(embed, input=str(vectors))


@wfr.workflow
async def any_loop(ctx: wf.WorkflowContext, text: str) -> list:
    await anyio.sleep(0.5)  # violation: concurrency: another library's sleep
    return await ctx.call_activity(embed, input=text)
