"""Workflows that talk to services themselves."""

import smtplib
import socket
import urllib.request
from email.message import EmailMessage

import boto3
import httpx
import redis
import requests
from openai import OpenAI

import tenuto as wf

wfr = wf.WorkflowRuntime()
cache = redis.Redis(host="cache")
session = requests.Session()


@wfr.activity
def ship(ctx: wf.WorkflowActivityContext, order: dict) -> str:
    return order["id"]


@wfr.workflow
def priced(ctx: wf.WorkflowContext, order: dict):
    pricing = httpx.get(f"https://prices.example/{order['sku']}").json()  # violation: io: HTTP in the workflow
    return (yield ctx.call_activity(ship, input={**order, "price": pricing["price"]}))


@wfr.workflow
async def priced_async(ctx: wf.WorkflowContext, order: dict) -> str:
    async with httpx.AsyncClient() as http:  # via(http)
        answer = await http.get("https://prices.example/all")  # violation(http): io: awaits a socket instead of a task
    return await ctx.call_activity(ship, input={**order, "prices": answer.json()})


@wfr.workflow
def webhooks(ctx: wf.WorkflowContext, order: dict):
    shipped = yield ctx.call_activity(ship, input=order)
    requests.post("https://hooks.example/shipped", json={"order": shipped}, timeout=5)  # violation: io: posted again by each replay


@wfr.workflow
def by_session(ctx: wf.WorkflowContext, order: dict):
    stock = session.get("https://stock.example").json()  # violation: io: a session of the module
    if stock["available"]:
        yield ctx.call_activity(ship, input=order)


@wfr.workflow
def old_school(ctx: wf.WorkflowContext, order: dict):
    with urllib.request.urlopen("https://rates.example/eur") as answer:  # violation(rate): io: the standard library's HTTP
        rate = float(answer.read())  # via(rate)
    return (yield ctx.call_activity(ship, input={**order, "rate": rate}))


@wfr.workflow
def cached(ctx: wf.WorkflowContext, order: dict):
    known = cache.get(order["id"])  # violation: io: the cache holds something else next time
    if known is None:
        yield ctx.call_activity(ship, input=order)


@wfr.workflow
def mailed(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(ship, input=order)
    message = EmailMessage()
    message["To"] = order["email"]
    with smtplib.SMTP("mail.example") as server:  # via(mail)
        server.send_message(message)  # violation(mail): io: a mail for every replay


@wfr.workflow
def stored(ctx: wf.WorkflowContext, order: dict):
    table = boto3.resource("dynamodb").Table("orders")  # via(table)
    table.put_item(Item=order)  # violation(table): io: a service of the cloud
    yield ctx.call_activity(ship, input=order)


@wfr.workflow
def summarised(ctx: wf.WorkflowContext, text: str):
    client = OpenAI()  # via(model)
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])  # violation(model): io: a model answers differently each time
    return (yield ctx.call_activity(ship, input={"id": answer.choices[0].message.content}))


@wfr.workflow
def resolved(ctx: wf.WorkflowContext, host: str):
    address = socket.gethostbyname(host)  # violation: io: DNS
    return (yield ctx.call_activity(ship, input={"id": address}))
