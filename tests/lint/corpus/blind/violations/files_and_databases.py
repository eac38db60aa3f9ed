"""Training and reporting workflows that read files, tables and programs' output themselves."""

import glob
import json
import os
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenuto import WorkflowActivityContext, WorkflowContext, WorkflowRuntime

runtime = WorkflowRuntime()
engine = sa.create_engine("postgresql:///shop")


def train(ctx: WorkflowActivityContext, config: dict) -> dict:
    return {"loss": 0.1, **config}


def configured_training(ctx: WorkflowContext, path: str):
    with open(path) as file:  # violation(config): io: the file may be another one in a replay
        config = json.load(file)  # via(config)
    return (yield ctx.call_activity(train, input=config))


def pathlib_training(ctx: WorkflowContext, folder: str):
    config = json.loads(Path(folder, "config.json").read_text())  # violation: io: read through pathlib
    if Path(folder, "checkpoint.pt").exists():  # violation: io: asks the disk
        config["resume"] = True
    return (yield ctx.call_activity(train, input=config))


def train_on_all(ctx: WorkflowContext, folder: str):
    for name in os.listdir(folder):  # violation: io: contents and order of a directory
        yield ctx.call_activity(train, input={"file": name})
    for name in glob.glob(f"{folder}/*.csv"):  # violation: io: the same by a pattern
        yield ctx.call_activity(train, input={"file": name})


def train_on_frame(ctx: WorkflowContext, path: str):
    frame = pd.read_csv(path)  # violation: io: pandas opens the file
    return (yield ctx.call_activity(train, input={"rows": len(frame)}))


def report(ctx: WorkflowContext, day: str):
    with sqlite3.connect("report.db") as db:  # violation(db): io: a database
        rows = db.execute("SELECT sku, n FROM sales WHERE day = ?", (day,)).fetchall()  # via(db)
    for sku, count in rows:
        yield ctx.call_activity(train, input={"sku": sku, "n": count})


def report_by_orm(ctx: WorkflowContext, day: str):
    with Session(engine) as session:  # via(orm)
        total = session.scalar(sa.text("SELECT sum(n) FROM sales"))  # violation(orm): io: a query by the ORM
    return (yield ctx.call_activity(train, input={"total": total}))


def versioned_training(ctx: WorkflowContext, folder: str):
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder)  # violation: io: a program's output
    return (yield ctx.call_activity(train, input={"commit": commit.decode().strip()}))


def scratch_training(ctx: WorkflowContext, name: str):
    scratch = tempfile.mkdtemp(prefix=name)  # violation: io: makes a folder with a random name
    result = yield ctx.call_activity(train, input={"scratch": scratch})
    Path("last.json").write_text(json.dumps(result))  # violation: io: writes once per replay
    os.remove("running.lock")  # violation: io: deletes, and fails the second time
    return result


def asked_training(ctx: WorkflowContext, name: str):
    answer = input(f"train {name}? ")  # violation: io: asks the terminal
    if answer == "y":
        yield ctx.call_activity(train, input={"name": name})


for function in (
    configured_training,
    pathlib_training,
    train_on_all,
    train_on_frame,
    report,
    report_by_orm,
    versioned_training,
    scratch_training,
    asked_training,
):
    runtime.register_workflow(function)
runtime.register_activity(train)
