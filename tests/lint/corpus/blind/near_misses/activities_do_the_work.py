"""Everything that a workflow must not do, done where it belongs: in activities and what they call."""

import asyncio
import datetime as dt
import logging
import os
import random
import secrets
import sqlite3
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import requests

import tenuto as wf

wfr = wf.WorkflowRuntime()
logger = logging.getLogger(__name__)
calls = 0
seen: dict = {}
client = httpx.Client()


@wfr.workflow
def pipeline(ctx: wf.WorkflowContext, job: dict):
    stamped = yield ctx.call_activity(stamp, input=job)
    fetched = yield ctx.call_activity(fetch, input=stamped, retry_policy=wf.RetryPolicy(
        first_retry_interval=dt.timedelta(seconds=1), max_number_of_attempts=5))
    yield ctx.call_activity("count_calls", input=fetched)
    stored = yield ctx.call_activity(store, input=fetched)
    yield wf.when_all([ctx.call_activity(embed, input=part) for part in stored["parts"]])
    return (yield ctx.call_activity(registered_elsewhere, input=stored))


@wfr.activity
def stamp(ctx: wf.WorkflowActivityContext, job: dict) -> dict:
    return {
        **job,
        "at": dt.datetime.now(dt.UTC).isoformat(),  # near miss: clock in an activity
        "id": str(uuid.uuid4()),  # near miss: its result is recorded
        "token": secrets.token_hex(8),  # near miss: the same
        "stage": os.environ.get("STAGE", "test"),  # near miss: an activity may read the environment
    }


@wfr.activity(name="fetch_page", start_to_close_timeout=dt.timedelta(seconds=30))
def fetch(ctx: wf.WorkflowActivityContext, job: dict) -> dict:
    logger.info("fetching %s", job["url"])  # near miss: a plain logger in an activity
    time.sleep(random.uniform(0, 1))  # near miss: jitter in an activity
    answer = requests.get(job["url"], timeout=10)  # near miss: HTTP in an activity
    return {**job, "body": answer.text}


@wfr.activity
def count_calls(ctx: wf.WorkflowActivityContext, job: dict) -> int:
    global calls
    calls += 1  # near miss: a global of an activity
    seen[job["id"]] = calls  # near miss: state that no workflow reads
    print("calls", calls)  # near miss: printed by an activity
    return calls


@wfr.activity
def store(ctx: wf.WorkflowActivityContext, job: dict) -> dict:
    Path("out").mkdir(exist_ok=True)  # near miss: a file in an activity
    with open(f"out/{job['id']}", "w") as file:  # near miss: the same
        file.write(job["body"])
    with sqlite3.connect("jobs.db") as db:  # near miss: a database in an activity
        db.execute("INSERT INTO jobs VALUES (?)", (job["id"],))
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"])  # near miss: a program run by an activity
    return {**job, "parts": list(set(job["body"].split())), "commit": commit.decode()}  # near miss: an activity may use a set's order


@wfr.activity
async def embed(ctx: wf.WorkflowActivityContext, text: str) -> list:
    await asyncio.sleep(0.1)  # near miss: an asynchronous activity sleeps
    left, right = await asyncio.gather(part(text[:10]), part(text[10:]))  # near miss: and gathers
    return [left, right]


async def part(text: str) -> float:
    async with httpx.AsyncClient() as http:
        answer = await http.post("https://embed.example", json=text)  # near miss: a helper that only activities call
    return answer.json()["value"]


def registered_elsewhere(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    with ThreadPoolExecutor(4) as pool:  # near miss: threads in an activity without a decorator
        sizes = list(pool.map(len, job["parts"]))
    worker = threading.current_thread().name  # near miss: the thread that runs an activity
    return f"{worker}: {sum(sizes)} by {os.getpid()}"


class Warehouse:
    """Activities as methods; the workflow calls them by reference."""

    def __init__(self) -> None:
        self.bookings = 0

    def book(self, ctx: wf.WorkflowActivityContext, order: dict) -> str:
        self.bookings += 1  # near miss: the activities' own object
        return client.post("https://warehouse.example", json=order).text  # near miss: HTTP in an activity's method

    def check(self, ctx: wf.WorkflowActivityContext, order: dict) -> bool:
        return random.random() > 0.5  # near miss: random in an activity's method


warehouse = Warehouse()
wfr.register_activity(warehouse.book)
wfr.register_activity(warehouse.check, name="check_stock")


@wfr.workflow
async def booked(ctx: wf.WorkflowContext, order: dict) -> str:
    if await ctx.call_activity("check_stock", input=order):
        return await ctx.call_activity(warehouse.book, input=order)  # near miss: a reference, not a call
    return "none"
