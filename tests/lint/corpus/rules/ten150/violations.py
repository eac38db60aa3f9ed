"""What the machine's language and time zone files decide."""

import locale
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def formatted(ctx: wf.WorkflowContext, order: dict):
    day = ctx.current_utc_datetime.strftime("%A, %x")  # violation: TEN150: the locale's names and forms
    price = locale.currency(order["price"])  # violation: TEN150: the locale's money
    yield ctx.call_activity(act, input={"day": day, "price": price, "n": f"{order['price']:n}"})  # violation: TEN150: the locale's numbers


@wfr.workflow
def opened(ctx: wf.WorkflowContext, shop: dict):
    local = ctx.current_utc_datetime.astimezone(ZoneInfo(shop["zone"]))  # violation: TEN150: the zone's rules of this image
    yield ctx.create_timer(datetime(local.year, local.month, local.day, 9, tzinfo=local.tzinfo) + timedelta(days=1))
