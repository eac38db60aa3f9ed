"""Sockets and what is made of them."""

import ftplib
import smtplib
import socket
from socket import create_connection

import grpc
import paramiko

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def probed(ctx: wf.WorkflowContext, host: str):
    with create_connection((host, 443), timeout=2):  # violation: TEN147: a connection
        yield ctx.call_activity(act, input={"host": host})


@wfr.workflow
async def mailed(ctx: wf.WorkflowContext, mail: dict) -> None:
    await ctx.call_activity(act, input=mail)
    server = smtplib.SMTP_SSL("mail.example")  # violation(mail): TEN147: a mail server
    server.sendmail("a", "b", mail["text"])  # via(mail)


def upload(path: str) -> None:
    with ftplib.FTP("files.example") as server:  # violation(ftp): TEN147: in a helper
        server.storbinary("STOR x", None)  # via(ftp)


@wfr.workflow
def published(ctx: wf.WorkflowContext, path: str):
    upload(path)  # via(ftp)
    yield ctx.call_activity(act, input={"path": path})
    channel = grpc.insecure_channel("inventory:50051")  # violation: TEN147: gRPC
    shell = paramiko.SSHClient()  # violation(ssh): TEN147: SSH
    shell.connect("host")  # via(ssh)
    return [str(channel), socket.getaddrinfo("host", 80)]  # violation: TEN147: DNS
