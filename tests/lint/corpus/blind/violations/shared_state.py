"""What outlives an execution in the process: the replay, perhaps in another one, finds something else there."""

import itertools
import threading
from contextvars import ContextVar
from functools import lru_cache

import tenuto as wf

wfr = wf.WorkflowRuntime()

orders_seen = 0
recent_orders: list = []
prices: dict = {}
sequence = itertools.count(1)
current_tenant: ContextVar[str] = ContextVar("current_tenant", default="none")
local = threading.local()


@wfr.activity
def refresh_prices(ctx: wf.WorkflowActivityContext, skus: list) -> int:
    prices.update({sku: len(sku) for sku in skus})
    return len(prices)


@wfr.activity
def deliver(ctx: wf.WorkflowActivityContext, order: dict) -> str:
    return order["id"]


@wfr.workflow
def counted(ctx: wf.WorkflowContext, order: dict):
    global orders_seen  # via(counter)
    orders_seen += 1  # violation(counter): state: counts replays too
    if orders_seen % 100 == 0:  # via(counter)
        yield ctx.call_activity(deliver, input={**order, "gift": True})
    return (yield ctx.call_activity(deliver, input=order))


@wfr.workflow
def remembered(ctx: wf.WorkflowContext, order: dict):
    recent_orders.append(order["id"])  # violation(recent): state: a list of the module grows with each replay
    if len(recent_orders) > 10:  # via(recent)
        yield ctx.call_activity(deliver, input={"id": "batch"})


@wfr.workflow
def priced(ctx: wf.WorkflowContext, order: dict):
    if order["sku"] not in prices:  # violation(prices): state: an activity in the same process filled it
        yield ctx.call_activity(refresh_prices, input=[order["sku"]])
    total = prices[order["sku"]] * order["n"]  # via(prices)
    return (yield ctx.call_activity(deliver, input={**order, "total": total}))


@wfr.workflow
def memoised(ctx: wf.WorkflowContext, order: dict):
    prices[order["sku"]] = yield ctx.call_activity(refresh_prices, input=[order["sku"]])  # violation: state: one workflow writes what others read


@wfr.workflow
def numbered(ctx: wf.WorkflowContext, order: dict):
    number = next(sequence)  # violation: state: a counter of the process
    return (yield ctx.call_activity(deliver, input={**order, "number": number}))


@wfr.workflow
def tenanted(ctx: wf.WorkflowContext, order: dict):
    tenant = current_tenant.get()  # violation: state: a context variable of whoever runs the turn
    return (yield ctx.call_activity(deliver, input={**order, "tenant": tenant}))


@wfr.workflow
def threadbound(ctx: wf.WorkflowContext, order: dict):
    local.order = order  # violation: state: bound to the worker's thread
    return (yield ctx.call_activity(deliver, input=order))


@wfr.workflow
def defaulted(ctx: wf.WorkflowContext, order: dict, _done=[]):  # noqa: B006  # via(default)
    _done.append(order["id"])  # violation(default): state: the default is one list for all executions
    if len(_done) == 1:
        yield ctx.call_activity(deliver, input=order)


class Warehouse:
    shipped = 0

    @classmethod
    def note(cls) -> int:
        cls.shipped += 1  # violation(class): state: an attribute of the class
        return cls.shipped


@wfr.workflow
def classed(ctx: wf.WorkflowContext, order: dict):
    if Warehouse.note() > 5:  # via(class)
        yield ctx.call_activity(deliver, input=order)


class Fulfilment:
    """Registered below as a bound method: all executions share the one instance."""

    def __init__(self) -> None:
        self.failures = 0

    def run(self, ctx: wf.WorkflowContext, order: dict):
        try:
            yield ctx.call_activity(deliver, input=order)
        except wf.TaskFailedError:
            self.failures += 1  # violation(self): state: one object serves all executions
            if self.failures > 3:  # via(self)
                yield ctx.call_activity(deliver, input={"id": "alarm"})


wfr.register_workflow(Fulfilment().run, name="fulfilment")


@wfr.workflow
def attributed(ctx: wf.WorkflowContext, order: dict):
    attributed.last = order["id"]  # violation: state: an attribute of the function
    yield ctx.call_activity(deliver, input=order)


def make_workflow(kind: str):
    runs = 0

    def batch(ctx: wf.WorkflowContext, order: dict):
        nonlocal runs  # via(closure)
        runs += 1  # violation(closure): state: the closure outlives the execution
        yield ctx.call_activity(deliver, input={**order, "kind": kind, "run": runs})  # via(closure)

    return batch


wfr.register_workflow(make_workflow("night"), name="night_batch")


@lru_cache(maxsize=None)
def cheapest(sku: str) -> int:
    return min(prices.values(), default=len(sku))  # violation(cached): state: caches what the dictionary held once


@wfr.workflow
def cheap(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity(deliver, input={**order, "price": cheapest(order["sku"])}))  # via(cached)
