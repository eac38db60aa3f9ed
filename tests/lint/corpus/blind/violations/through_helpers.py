"""The effect stands in something that the workflow leads to: helpers, methods, properties, decorators, closures."""

import functools
import os
import random
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def send(ctx: wf.WorkflowActivityContext, message: dict) -> str:
    return message["id"]


# -- plain helpers


def is_weekend() -> bool:
    return datetime.now(UTC).weekday() >= 5  # violation(weekend): clock: one call away


@wfr.workflow
def weekdays_only(ctx: wf.WorkflowContext, message: dict):
    if is_weekend():  # via(weekend)
        yield ctx.create_timer(timedelta(days=2))
    yield ctx.call_activity(send, input=message)


def make_id(prefix: str) -> str:
    return f"{prefix}-{_suffix()}"


def _suffix() -> str:
    return uuid.uuid4().hex[:8]  # violation(suffix): identity: two calls away


@wfr.workflow
def with_id(ctx: wf.WorkflowContext, message: dict):
    message_id = make_id("msg")  # via(suffix)
    return (yield ctx.call_activity(send, input={**message, "id": message_id}))


def send_all(ctx: wf.WorkflowContext, messages: list):
    for message in messages:
        yield ctx.call_activity(send, input=message)
        yield ctx.create_timer(timedelta(seconds=random.randint(1, 5)))  # violation(delegated): random: in a sub-generator


@wfr.workflow
def mailing(ctx: wf.WorkflowContext, messages: list):
    yield from send_all(ctx, messages)  # via(delegated)


async def fetch_rate(currency: str) -> float:
    async with httpx.AsyncClient() as http:  # via(rate)
        return (await http.get(f"https://rates.example/{currency}")).json()["rate"]  # violation(rate): io: an awaited helper


@wfr.workflow
async def converted(ctx: wf.WorkflowContext, message: dict) -> str:
    rate = await fetch_rate("EUR")  # via(rate)
    return await ctx.call_activity(send, input={**message, "rate": rate})


# -- methods, properties, fields


@dataclass
class Offer:
    id: str
    valid_until: datetime
    made_at: float = field(default_factory=time.time)  # violation(made): clock: evaluated by every construction

    @property
    def is_valid(self) -> bool:
        return datetime.now(UTC) < self.valid_until  # violation(valid): clock: in a property


@wfr.workflow
async def accept(ctx: wf.WorkflowContext, offer: Offer) -> str:
    if not offer.is_valid:  # via(valid)
        return "expired"
    renewed = Offer(offer.id, offer.valid_until)  # via(made)
    return await ctx.call_activity(send, input={"id": renewed.id, "at": renewed.made_at})


class Prices:
    def __init__(self, base: str) -> None:
        self.base = base

    def of(self, sku: str) -> float:
        return httpx.get(f"{self.base}/{sku}").json()["price"]  # violation(price): io: in a method


@wfr.workflow
def quoted(ctx: wf.WorkflowContext, message: dict):
    prices = Prices("https://prices.example")
    price = prices.of(message["sku"])  # via(price)
    return (yield ctx.call_activity(send, input={**message, "price": price}))


class Notifications:
    """Workflows as methods."""

    def __init__(self, runtime: wf.WorkflowRuntime) -> None:
        runtime.register_workflow(self.digest, name="digest")
        runtime.register_workflow(self.reminder)

    def digest(self, ctx: wf.WorkflowContext, messages: list):
        title = self._title()  # via(title)
        yield ctx.call_activity(send, input={"id": title, "messages": messages})

    def _title(self) -> str:
        return f"Digest of {datetime.now():%d %B}"  # violation(title): clock: in a private method

    async def reminder(self, ctx: wf.WorkflowContext, message: dict) -> None:
        await ctx.create_timer(datetime.now(UTC) + timedelta(hours=1))  # violation: clock: due another hour later in a replay
        await ctx.call_activity(send, input=message)

    @staticmethod
    def sender() -> str:
        return os.environ["SENDER"]  # violation(sender): environment: in a static method

    def signed(self, ctx: wf.WorkflowContext, message: dict):
        yield ctx.call_activity(send, input={**message, "from": self.sender()})  # via(sender)


wfr.register_workflow(Notifications(wfr).signed)


# -- decorators, partials, closures, aliases


def with_request_id(function: Callable) -> Callable:
    @functools.wraps(function)
    def wrapper(ctx: wf.WorkflowContext, message: dict):
        message["request_id"] = str(uuid.uuid4())  # violation(wrapped): identity: in the wrapper around the workflow
        return function(ctx, message)

    return wrapper


@wfr.workflow
@with_request_id  # via(wrapped)
def wrapped(ctx: wf.WorkflowContext, message: dict):  # via(wrapped)
    return (yield ctx.call_activity(send, input=message))


roll = functools.partial(random.randint, 1, 6)  # via(partial)


@wfr.workflow
def diced(ctx: wf.WorkflowContext, message: dict):
    if roll() == 6:  # violation(partial): random: a partial of the module
        yield ctx.call_activity(send, input=message)


@wfr.workflow
def nested(ctx: wf.WorkflowContext, messages: list):
    def stamp(message: dict) -> dict:
        return {**message, "sent_at": time.time()}  # violation(stamp): clock: in a nested function

    yield wf.when_all([ctx.call_activity(send, input=stamp(message)) for message in messages])  # via(stamp)


@wfr.workflow
def by_lambda(ctx: wf.WorkflowContext, messages: list):
    ordered = sorted(messages, key=lambda message: random.random())  # violation: random: in a lambda that sorts
    for message in ordered:
        yield ctx.call_activity(send, input=message)


now = datetime.utcnow  # via(alias)


@wfr.workflow
def aliased(ctx: wf.WorkflowContext, message: dict):
    at = now()  # violation(alias): clock: a name of the module for utcnow
    yield ctx.call_activity(send, input={**message, "at": at.isoformat()})


@wfr.workflow
def locally_aliased(ctx: wf.WorkflowContext, message: dict):
    clock = time.time  # via(local)
    yield ctx.call_activity(send, input={**message, "at": clock()})  # violation(local): clock: through a local name


@wfr.workflow
def imported_inside(ctx: wf.WorkflowContext, message: dict):
    import random as chance

    if chance.random() > 0.5:  # violation: random: imported inside the function
        yield ctx.call_activity(send, input=message)


@contextmanager
def timed(result: dict):
    began = time.perf_counter()  # violation(timed): clock: in a context manager
    yield
    result["seconds"] = time.perf_counter() - began  # violation(timed_end): clock: in its end


@wfr.workflow
def with_manager(ctx: wf.WorkflowContext, message: dict):
    result: dict = {}
    with timed(result):  # via(timed) via(timed_end)
        yield ctx.call_activity(send, input=message)
    return result


@wfr.workflow
def handed_over(ctx: wf.WorkflowContext, messages: list):
    ids = list(map(lambda _: uuid.uuid4().hex, messages))  # violation: identity: in a mapped lambda
    first = apply(random.choice, messages)  # violation: random: the function is handed to a helper
    yield ctx.call_activity(send, input={**first, "id": ids[0]})


def apply(function: Callable, value: list) -> dict:
    return function(value)


@wfr.workflow
def looked_up(ctx: wf.WorkflowContext, message: dict):
    at = getattr(time, "time")()  # noqa: B009  # violation: clock: by getattr
    lucky = __import__("random").random()  # violation: random: by __import__
    yield ctx.call_activity(send, input={**message, "at": at, "lucky": lucky > 0.5})


def defaulted(ctx: wf.WorkflowContext, message: dict, *, at: datetime = datetime.now()):  # noqa: B008  # violation: clock: the default is the moment of the import, another one in every process
    yield ctx.call_activity(send, input={**message, "at": at.isoformat()})


wfr.register_workflow(defaulted)

STARTED_AT = datetime.now(UTC)  # via(started)


@wfr.workflow
def since_start(ctx: wf.WorkflowContext, message: dict):
    age = ctx.current_utc_datetime - STARTED_AT  # violation(started): clock: the moment of the import
    if age > timedelta(days=1):
        yield ctx.call_activity(send, input=message)
