"""Workflows that import from modules full of effects, and use only what is pure there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tenuto as wf

from store import helpers, tasks
from store.helpers import net_price, normalise

if TYPE_CHECKING:
    import random
    from datetime import datetime


def checkout(ctx: wf.WorkflowContext, cart: dict):
    total = sum(net_price(item) for item in cart["items"])  # near miss: the pure function of an impure module
    name = helpers.slug(cart["name"])  # near miss: the same by attribute
    paid = yield ctx.call_activity(tasks.pay, input={"total": total, "name": normalise(name)})  # near miss: a reference
    if paid:
        yield ctx.call_activity(tasks.Mailer.send, input=cart)  # near miss: a reference to a static method
    return pick(ctx.random(), [total, 0], ctx.current_utc_datetime)


def pick(rng: random.Random, options: list, now: datetime) -> int:  # near miss: annotations only
    return rng.choice(options) if now.year > 2000 else 0  # near miss: the generator is the context's
