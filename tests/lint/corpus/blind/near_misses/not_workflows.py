"""Functions with a `ctx`, a yield or a suspicious name that no workflow reaches."""

import os
import random
import time
import uuid
from datetime import UTC, datetime

import click
import pytest
import requests
from discord.ext import commands
from fastapi import FastAPI
from prefect import flow

import tenuto as wf

wfr = wf.WorkflowRuntime()
app = FastAPI()
bot = commands.Bot("!")
REGION = os.getenv("REGION", "eu")  # near miss: only the starter uses it
STARTED = time.time()  # near miss: only the health page uses it


@wfr.workflow
def order_workflow(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity(handle, input=order))


@wfr.activity
def handle(ctx: wf.WorkflowActivityContext, order: dict) -> str:
    return order["id"]


@click.command()
@click.pass_context
def start(ctx: click.Context) -> None:
    order = {"id": str(uuid.uuid4()), "region": REGION}  # near miss: a starter may make ids
    with wf.WorkflowClient() as client:  # near miss: a client in a program
        client.schedule_new_workflow(order_workflow, input=order)
    ctx.exit(0)


@bot.command()
async def roll(ctx, sides: int = 6):
    await ctx.send(str(random.randint(1, sides)))  # near miss: a chat bot's context


@app.post("/orders")
async def create(order: dict) -> dict:
    order["received_at"] = datetime.now(UTC).isoformat()  # near miss: the web handler stamps the input
    with wf.WorkflowClient() as client:
        return {"id": client.schedule_new_workflow(order_workflow, input=order)}


@app.get("/health")
def health() -> dict:
    return {"up": time.time() - STARTED}  # near miss: no workflow


@pytest.fixture
def ctx():
    os.environ["STAGE"] = "test"  # near miss: a fixture, though it yields
    yield object()


def lambda_handler(event, context):
    print(event)  # near miss: a function of the cloud
    return requests.get("https://example.org", timeout=3).status_code  # near miss: the same


def test_handle(ctx):
    assert handle(ctx, {"id": "1"}) == "1"  # near miss: a test calls an activity directly


@flow
def nightly(day: str = ""):
    return day or datetime.now(UTC).date().isoformat()  # near miss: another framework, which does not replay


def numbers(ctx, n: int):
    for _ in range(n):
        yield random.random()  # near miss: a generator with a ctx that nobody registers


def unused_helper() -> float:
    return time.time()  # near miss: nobody calls it


class Metrics:
    def observe(self) -> float:
        return time.perf_counter()  # near miss: no workflow calls it

    def label(self, name: str) -> str:
        return name.lower()


@wfr.workflow
def labelled(ctx: wf.WorkflowContext, order: dict):
    label = Metrics().label(order["name"])  # near miss: the harmless method of a class with a harmful one
    yield ctx.call_activity(handle, input={"id": label})


def read_rates(path: str) -> dict:
    with open(path) as file:  # near miss: only main calls it
        return dict(line.split(",") for line in file)


def main() -> None:
    print("serving in", REGION)  # near miss: a program prints
    rates = read_rates("rates.csv")
    with wfr, wf.WorkflowClient() as client:
        for _ in range(3):
            client.schedule_new_workflow(order_workflow, input={"id": str(uuid.uuid4()), "rates": rates})  # near miss: ids of the starter
        time.sleep(5)  # near miss: a program waits


if __name__ == "__main__":
    main()
