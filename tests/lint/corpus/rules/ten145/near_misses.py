"""Folders listed by an activity; names matched without a disk."""

import fnmatch
import os

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def list_folder(ctx: wf.WorkflowActivityContext, folder: str) -> list:
    return sorted(os.listdir(folder))  # near miss: in an activity, and sorted


@wfr.workflow
def swept(ctx: wf.WorkflowContext, folder: str):
    names = yield ctx.call_activity(list_folder, input=folder)
    for name in fnmatch.filter(names, "*.csv"):  # near miss: matches given names
        yield ctx.call_activity(act, input={"path": os.path.join(folder, name)})  # near miss: text


class Tree:
    def walk(self) -> list:
        return [1, 2]

    def glob(self, pattern: str) -> list:
        return [pattern]


@wfr.workflow
def walked(ctx: wf.WorkflowContext, job: dict):
    for number in Tree().walk():  # near miss: a method called walk
        yield ctx.call_activity(act, input={"n": number, "glob": Tree().glob("*")})  # near miss: a method called glob
