"""Paths as text, and files in memory."""

import configparser
import io
import json
import pickle
import zipfile
from pathlib import Path, PurePath

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def named(ctx: wf.WorkflowContext, job: dict):
    path = Path(job["path"])  # near miss: only a name
    name = path.with_suffix(".out").name  # near miss: text
    parts = PurePath("a") / "b"  # near miss: text
    config = configparser.ConfigParser()
    config.read_string(job["config"])  # near miss: reads a string
    buffer = io.StringIO()
    json.dump(job, buffer)  # near miss: into memory
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:  # near miss: an archive in memory
        archive.writestr("a", buffer.getvalue())
    copy = pickle.loads(pickle.dumps(job))  # noqa: S301  # near miss: from bytes
    yield ctx.call_activity(act, input={"name": name, "parts": str(parts), "mail": config["mail"]["sender"], **copy})


@wfr.activity
def read(ctx: wf.WorkflowActivityContext, path: str) -> str:
    return Path(path).read_text()  # near miss: in an activity


class Door:
    def open(self) -> str:
        return "open"


@wfr.workflow
def opened(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={"door": Door().open()})  # near miss: a method called open


def load() -> dict:
    with open("seed.json") as file:  # near miss: only the starter calls it
        return json.load(file)


def start() -> None:
    with wf.WorkflowClient() as client:
        client.schedule_new_workflow(named, input=load())
