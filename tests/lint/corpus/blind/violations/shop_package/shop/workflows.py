"""The workflows themselves look innocent."""

import tenuto as wf

import shop.clock as clock
from shop import settings
from shop.activities import book_order, notify
from shop.clock import timestamp, utc_today
from shop.pricing import Quotes, discount


def order_workflow(ctx: wf.WorkflowContext, order: dict):
    price = Quotes().best(order["sku"])  # via(quote)
    amount = discount(price * order["n"])  # via(friday) via(lottery)
    if amount > settings.MAX_AMOUNT:  # violation(max): environment: a constant that another module read from the environment
        yield ctx.wait_for_external_event("approved")
    booked = yield ctx.call_activity(book_order, input={**order, "amount": amount, "day": utc_today()})  # via(today)
    return booked


def audit_workflow(ctx: wf.WorkflowContext, order: dict):
    order["audited_at"] = timestamp().isoformat()  # violation(stamp): clock: a re-exported name of datetime.now
    order["day"] = clock.utc_today()  # via(today)
    yield ctx.call_activity(notify, input=order)
