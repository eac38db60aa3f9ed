"""An order workflow that asks the wall clock in every way that people ask it."""

import datetime as dt
import time
from datetime import date, datetime, timedelta, timezone

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def reserve_stock(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return {"reserved": True, "sku": order["sku"]}


@wfr.activity
def bill(ctx: wf.WorkflowActivityContext, order: dict) -> str:
    return f"invoice-{order['id']}"


@wfr.workflow
def place_order(ctx: wf.WorkflowContext, order: dict):
    received_at = datetime.now()  # violation: clock: another moment in every replay
    reserved = yield ctx.call_activity(reserve_stock, input=order)
    invoice = yield ctx.call_activity(bill, input=order)
    return {"invoice": invoice, "received_at": received_at.isoformat(), **reserved}


@wfr.workflow
def same_day_delivery(ctx: wf.WorkflowContext, order: dict):
    now = datetime.now(timezone.utc)  # violation: clock: a time zone does not make it replayable
    if now.hour < 12:
        yield ctx.call_activity(reserve_stock, input={**order, "rush": True})
    else:
        yield ctx.call_activity(reserve_stock, input=order)


@wfr.workflow
def monthly_invoice(ctx: wf.WorkflowContext, customer: str):
    first = date.today().replace(day=1)  # violation: clock: the replay may run next month
    return (yield ctx.call_activity(bill, input={"id": customer, "from": first.isoformat()}))


@wfr.workflow
def measured(ctx: wf.WorkflowContext, order: dict):
    started = time.perf_counter()  # violation: clock: a new origin in every process
    yield ctx.call_activity(reserve_stock, input=order)
    return {"seconds": time.perf_counter() - started}  # violation: clock: ends up in the output


@wfr.workflow
def deadline_loop(ctx: wf.WorkflowContext, order: dict):
    until = time.time() + 3600  # violation: clock: the loop below takes other turns when it is replayed
    while time.time() < until:  # violation: clock: decides how often the activity is asked for
        stock = yield ctx.call_activity(reserve_stock, input=order)
        if stock["reserved"]:
            break
        yield ctx.create_timer(timedelta(minutes=1))


@wfr.workflow
def archived(ctx: wf.WorkflowContext, order: dict):
    folder = time.strftime("%Y/%m/%d")  # violation: clock: without a second argument it means now
    return (yield ctx.call_activity(bill, input={**order, "folder": folder}))


@wfr.workflow
def legacy(ctx: wf.WorkflowContext, order: dict):
    stamp = dt.datetime.utcnow().isoformat()  # violation: clock: utcnow through a module alias
    yield ctx.call_activity(bill, input={**order, "stamp": stamp})
    return dt.datetime.today().weekday()  # violation: clock: today is now


@wfr.workflow
def ticking(ctx: wf.WorkflowContext, order: dict):
    parts = time.localtime()  # violation: clock: no argument means now
    if parts.tm_wday >= 5:
        yield ctx.create_timer(timedelta(days=2))
    tick = time.monotonic_ns()  # violation: clock: monotonic clocks are clocks
    return (yield ctx.call_activity(bill, input={"id": order["id"], "tick": tick}))
