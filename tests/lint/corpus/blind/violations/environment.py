"""Workflows that depend on the process or the machine they happen to run in."""

import getpass
import importlib.metadata
import os
import platform
import socket
import sys
from os import environ, getenv

import psutil
import torch
from decouple import config
from pydantic_settings import BaseSettings

import tenuto as wf

wfr = wf.WorkflowRuntime()
REGION = os.getenv("REGION", "eu")  # via(region)


class Settings(BaseSettings):
    max_amount: int = 100


@wfr.activity
def route(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


@wfr.workflow
def flagged(ctx: wf.WorkflowContext, order: dict):
    if os.environ.get("FREE_DELIVERY") == "1":  # violation: environment: a feature flag of the pod
        order["delivery"] = 0
    if os.environ["STAGE"] == "prod":  # violation: environment: read by a subscript
        yield ctx.call_activity(route, input=order)


@wfr.workflow
def flagged_by_import(ctx: wf.WorkflowContext, order: dict):
    region = getenv("REGION")  # violation: environment: imported from os
    zone = environ.get("ZONE", "a")  # violation: environment: the mapping itself, imported
    return (yield ctx.call_activity(route, input={**order, "at": f"{region}/{zone}"}))


@wfr.workflow
def flagged_with_default(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity(route, input={**order, "debug": "DEBUG" in os.environ}))  # violation: environment: asks whether it is set


@wfr.workflow
def regional(ctx: wf.WorkflowContext, order: dict):
    if REGION == "eu":  # violation(region): environment: read when the module was imported, by another pod perhaps otherwise
        yield ctx.call_activity(route, input={**order, "vat": True})


@wfr.workflow
def by_settings(ctx: wf.WorkflowContext, order: dict):
    settings = Settings()  # violation: environment: pydantic reads variables
    if order["amount"] > settings.max_amount:
        yield ctx.call_activity(route, input=order)
    if config("STRICT", cast=bool):  # violation: environment: python-decouple reads variables
        yield ctx.call_activity(route, input={**order, "strict": True})


@wfr.workflow
def by_host(ctx: wf.WorkflowContext, order: dict):
    host = socket.gethostname()  # violation: environment: the pod's name
    node = platform.node()  # violation: environment: the same
    pid = os.getpid()  # violation: environment: a process of today
    user = getpass.getuser()  # violation: environment: whoever runs it
    return (yield ctx.call_activity(route, input={**order, "from": [host, node, pid, user]}))


@wfr.workflow
def by_machine(ctx: wf.WorkflowContext, order: dict):
    device = "cuda" if torch.cuda.is_available() else "cpu"  # violation: environment: has this pod a GPU
    workers = os.cpu_count() or 1  # violation: environment: the number of fan-out branches depends on the node
    parts = [ctx.call_activity(route, input={**order, "part": n, "on": device}) for n in range(workers)]
    yield wf.when_all(parts)
    if psutil.virtual_memory().percent > 90:  # violation: environment: memory of this moment
        yield ctx.call_activity(route, input={**order, "small": True})


@wfr.workflow
def by_argument(ctx: wf.WorkflowContext, order: dict):
    if "--dry-run" in sys.argv:  # violation: environment: how the process was started
        return order
    if importlib.metadata.version("shop") >= "2":  # violation: environment: an upgrade changes the branch of running instances
        order["schema"] = 2
    here = os.getcwd()  # violation: environment: the working directory
    return (yield ctx.call_activity(route, input={**order, "cwd": here}))
