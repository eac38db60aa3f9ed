"""A web service in FastAPI: the runtime lives in the app's lifespan, requests start workflows and may wait for them.

One process serves requests, turns and activities on one event loop. Several processes may share one engine, which gives
each work item to one of them:

    tenuto-engine --state-store sqlite:///web.db &
    uvicorn web:app --app-dir examples --workers 4

A request that is cut off loses only its answer: the workflow goes on, and `GET /orders/{id}` finds it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import tenuto as wf
from tenuto import aio

wfr = wf.WorkflowRuntime()


class Order(BaseModel):
    """What a customer sends."""

    id: str
    quantity: int


class Receipt(BaseModel):
    """What the customer gets; `worker` is the process that packed it."""

    order: str
    price: int
    worker: int


class Progress(BaseModel):
    """How far an order is."""

    status: str
    receipt: Receipt | None


@wfr.workflow
async def handle_order(ctx: wf.WorkflowContext, order: Order) -> Receipt:
    """Price an order, then pack it."""
    price = await ctx.call_activity(price_of, input=order)
    worker = await ctx.call_activity(pack, input=order)
    return Receipt(order=order.id, price=price, worker=worker)


@wfr.activity
async def price_of(ctx: wf.WorkflowActivityContext, order: Order) -> int:
    """Look the price up; on the service's own event loop, beside its requests."""
    return 7 * order.quantity


@wfr.activity
def pack(ctx: wf.WorkflowActivityContext, order: Order) -> int:
    """Pack the order, in a thread, for it blocks; answer which process did."""
    return os.getpid()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Serve workflows for as long as requests are served; at the end, let running activities finish."""
    async with wfr, aio.WorkflowClient() as client:
        app.state.client = client
        yield


app = FastAPI(title="Orders", lifespan=lifespan)


@app.post("/orders")
async def place(order: Order) -> Receipt:
    """Start the order's workflow and wait for it. A repeated request finds the same one: the id is the order's."""
    client: aio.WorkflowClient = app.state.client
    policy = wf.WorkflowIdReusePolicy.IGNORE
    await client.schedule_new_workflow(
        handle_order, input=order, instance_id=f"order-{order.id}", reuse_id_policy=policy
    )
    try:
        state = await client.wait_for_workflow_completion(f"order-{order.id}", timeout_in_seconds=30)
    except wf.WaitTimeout as error:
        raise HTTPException(504, f"order {order.id} takes longer, and goes on; ask GET /orders/{order.id}") from error
    return state.result(Receipt)


@app.get("/orders/{order_id}")
async def look_up(order_id: str) -> Progress:
    """Say how far an order is."""
    client: aio.WorkflowClient = app.state.client
    state = await client.get_workflow_state(f"order-{order_id}")
    if state is None:
        raise HTTPException(404, f"there is no order {order_id}")
    done = state.runtime_status is wf.WorkflowStatus.COMPLETED
    return Progress(status=state.runtime_status.name, receipt=state.result(Receipt) if done else None)
