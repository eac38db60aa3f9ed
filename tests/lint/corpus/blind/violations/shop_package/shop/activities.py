"""Work: here nothing is wrong."""

import time

import requests

import tenuto as wf


def book_order(ctx: wf.WorkflowActivityContext, order: dict) -> str:
    requests.post("https://books.example", json=order, timeout=5)
    return f"{order['sku']}-{time.time():.0f}"


def notify(ctx: wf.WorkflowActivityContext, order: dict) -> None:
    print(order)
