"""Forms that are the same everywhere."""

from datetime import UTC, timedelta, timezone

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def formatted(ctx: wf.WorkflowContext, order: dict):
    day = ctx.current_utc_datetime.strftime("%Y-%m-%d %H:%M")  # near miss: numbers only
    fixed = ctx.current_utc_datetime.astimezone(timezone(timedelta(hours=2)))  # near miss: a fixed distance
    price = f"{order['price']:,.2f}"  # near miss: the same in every locale
    yield ctx.call_activity(act, input={"day": day, "hour": fixed.hour, "price": price})
    return ctx.current_utc_datetime.astimezone(UTC).isoformat()  # near miss: UTC
