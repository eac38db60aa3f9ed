"""Command lines as data."""

import shlex
import subprocess

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def execute(ctx: wf.WorkflowActivityContext, command: list) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # near miss: in an activity


@wfr.workflow
def built(ctx: wf.WorkflowContext, target: str):
    command = shlex.split(f"make {target}")  # near miss: text
    try:
        return (yield ctx.call_activity(execute, input=command))
    except subprocess.CalledProcessError as error:  # near miss: a class
        return str(error)
    finally:
        ctx.logger.info(shlex.join(command))  # near miss: text


class Machine:
    def system(self, name: str) -> str:
        return name

    def run(self, *, check: bool) -> bool:
        return check


@wfr.workflow
def named(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={"system": Machine().system("a"), "b": Machine().run(check=True)})  # near miss: methods of those names
