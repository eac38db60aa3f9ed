"""The wall clock, asked by every name it has."""

import datetime as dt
from datetime import UTC, date
from datetime import datetime as DateTime

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def renew(ctx: wf.WorkflowContext, subscription: dict):
    if DateTime.now(UTC).day == 1:  # violation: TEN101: a class under another name
        yield ctx.call_activity(act, input=subscription)


@wfr.workflow
async def expire(ctx: wf.WorkflowContext, subscription: dict) -> bool:
    left = (date.fromisoformat(subscription["until"]) - dt.date.today()).days  # violation: TEN101: today through the module
    await ctx.call_activity(act, input={"left": left})
    return left > 0


def quarter() -> int:
    return (dt.datetime.today().month - 1) // 3 + 1  # violation(quarter): TEN101: in a helper


@wfr.workflow(name="closing")
def close_quarter(ctx: wf.WorkflowContext, accounts: list):
    for account in accounts:
        yield ctx.call_activity(act, input={"account": account, "quarter": quarter()})  # via(quarter)


class Period:
    @classmethod
    def current(cls) -> str:
        return dt.datetime.utcnow().strftime("%Y-%m")  # violation(period): TEN101: in a class method


@wfr.workflow
def period_report(ctx: wf.WorkflowContext, names: list):
    period = Period.current()  # via(period)
    tasks = [ctx.call_activity(act, input={"name": name, "period": period}) for name in names]
    return (yield wf.when_all(tasks))


@wfr.workflow
def stamped(ctx: wf.WorkflowContext, rows: list):
    rows = [{**row, "at": DateTime.utcnow().isoformat()} for row in rows]  # violation: TEN101: in a comprehension
    yield ctx.call_activity(act, input={"rows": rows})
