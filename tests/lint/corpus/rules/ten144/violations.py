"""Files."""

import configparser
import io
import pathlib
import pickle
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


TEMPLATE = Path(__file__).with_name("mail.txt")


@wfr.workflow
def templated(ctx: wf.WorkflowContext, user: dict):
    text = TEMPLATE.read_text()  # violation: TEN144: a path of the module
    yield ctx.call_activity(act, input={"text": text.format(**user)})


@wfr.workflow
async def resumed(ctx: wf.WorkflowContext, path: str) -> None:
    file = pathlib.Path(path)
    if file.is_file() and file.stat().st_size > 0:  # violation: TEN144: asks the disk
        await ctx.call_activity(act, input={"path": path})
    with file.open("rb") as stream:  # violation(pickle): TEN144: opened by a path
        state = pickle.load(stream)  # noqa: S301  # via(pickle)
    await ctx.call_activity(act, input=state)


def settings(path: str) -> str:
    parser = configparser.ConfigParser()
    parser.read(path)  # violation(settings): TEN144: a parser that reads a file, in a helper
    return parser["mail"]["sender"]


@wfr.workflow
def configured(ctx: wf.WorkflowContext, path: str):
    yield ctx.call_activity(act, input={"sender": settings(path)})  # via(settings)


@wfr.workflow
def archived(ctx: wf.WorkflowContext, folder: str):
    with zipfile.ZipFile(f"{folder}.zip", "w") as archive:  # violation(zip): TEN144: writes an archive
        archive.write(folder)  # via(zip)
    shutil.rmtree(folder)  # violation: TEN144: deletes
    with tempfile.TemporaryDirectory() as scratch:  # violation: TEN144: makes a folder
        yield ctx.call_activity(act, input={"scratch": scratch})
    with io.open(f"{folder}.log", "a") as log:  # noqa: UP020  # violation(log): TEN144: open under another name
        log.write("archived")  # via(log)
    np.save(f"{folder}.npy", np.zeros(3))  # violation: TEN144: numpy writes
