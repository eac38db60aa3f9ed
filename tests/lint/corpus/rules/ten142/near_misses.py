"""Their types, errors and statements."""

import sqlite3

from botocore.exceptions import ClientError
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


engine = create_engine("postgresql:///shop")  # near miss: made for the activities, connects to nothing yet


@wfr.activity
def total_of(ctx: wf.WorkflowActivityContext, day: str) -> int:
    with Session(engine) as session:  # near miss: in an activity
        return session.scalar(text("SELECT sum(n) FROM sales"))  # near miss: the same


@wfr.workflow
def reported(ctx: wf.WorkflowContext, day: str):
    try:
        total = yield ctx.call_activity(total_of, input=day)
    except (ClientError, sqlite3.OperationalError):  # near miss: classes
        total = 0
    return total


class Cart:
    def __init__(self) -> None:
        self.rows: list = []

    def execute(self, row: dict) -> None:
        self.rows.append(row)

    def commit(self) -> int:
        return len(self.rows)


@wfr.workflow
def carted(ctx: wf.WorkflowContext, rows: list):
    cart = Cart()
    for row in rows:
        cart.execute(row)  # near miss: a method called execute
    yield ctx.call_activity(act, input={"n": cart.commit()})  # near miss: a method called commit
