"""Addresses as data."""

import ipaddress
import socket
import ssl

import grpc

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def probe(ctx: wf.WorkflowActivityContext, host: str) -> bool:
    with socket.create_connection((host, 443)):  # near miss: in an activity
        return True


@wfr.workflow
def probed(ctx: wf.WorkflowContext, hosts: list):
    family = socket.AF_INET  # near miss: a constant
    for host in hosts:
        if ipaddress.ip_address(host).is_private:  # near miss: parses
            continue
        try:
            yield ctx.call_activity(probe, input=host)
        except (TimeoutError, ssl.SSLError, grpc.RpcError):  # near miss: classes
            return family
    return socket.inet_aton("127.0.0.1").hex()  # near miss: converts text


class Plug:
    def socket(self) -> str:
        return "wall"


@wfr.workflow
def plugged(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={"socket": Plug().socket()})  # near miss: a method of that name
