"""Designed for determinism: a price from an API, an order's id, a route by the time of day, and retries.

A workflow is run again from its first line after every crash, and must then ask for the same things. So each part of
this order has one place where it belongs:

* What is workflow code, what an activity? The workflow only decides and keeps the order of steps: `place_order` below
  could be run a hundred times. Whatever asks the world, an API, a clock, the environment, a database of time zones, is
  an activity: its answer is recorded once, and a replay reads the record.
* The unique order id: `ctx.new_uuid()`. Unlike any other, and the same in every replay. An id from `uuid.uuid4()` would
  be another one after a crash, when the first is already printed on an invoice.
* Morning or afternoon: `ctx.current_utc_datetime` is the time of the turn, which history records. A replay next week
  still takes the morning's route. What is morning depends on the shop's time zone, and the rules of zones come with the
  machine's files and change now and then; so the conversion is an activity, given the recorded moment.
* Retries: in the policy of the activity. The engine waits between the attempts, durably; a loop with a sleep in the
  workflow would block every other workflow of its worker, and one in the activity would begin anew with every crash.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import tenuto as wf

wfr = wf.WorkflowRuntime()

# An API that is down for a minute costs the order a minute; one that is down for half an hour fails it.
PATIENT = wf.RetryPolicy(
    first_retry_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    max_retry_interval=timedelta(minutes=5),
    max_number_of_attempts=10,
)
AT_MOST = timedelta(seconds=20)
NOON = 12


@dataclass
class Order:
    """What a customer wants, and where the shop's clock hangs."""

    item: str
    quantity: int
    time_zone: str = "UTC"


@dataclass
class LocalTime:
    """A recorded moment, and the zone whose hour is asked for."""

    at: datetime
    time_zone: str


@dataclass
class Shipment:
    """What a warehouse is told."""

    order_id: str
    item: str
    quantity: int
    warehouse: str


@dataclass
class Confirmation:
    """What the customer gets."""

    order_id: str
    total: Decimal
    warehouse: str
    parcel: str


# -- the workflow: decides, and asks nobody but its context -----------------------------------------------------------


@wfr.workflow
def place_order(ctx: wf.WorkflowContext, order: Order) -> Generator[Any, Any, Confirmation]:
    """Price an order, choose its warehouse by the time of day, and ship it."""
    order_id = str(ctx.new_uuid())
    placed_at = ctx.current_utc_datetime

    price: Decimal = yield ctx.call_activity(current_price, input=order.item)
    hour: int = yield ctx.call_activity(hour_there, input=LocalTime(placed_at, order.time_zone))
    warehouse = "north, same day" if hour < NOON else "south, next day"

    shipment = Shipment(order_id, order.item, order.quantity, warehouse)
    parcel: str = yield ctx.call_activity(ship, input=shipment)
    return Confirmation(order_id, price * order.quantity, warehouse, parcel)


# -- the activities: everything that asks the world -------------------------------------------------------------------


@wfr.activity(retry_policy=PATIENT, start_to_close_timeout=AT_MOST)
def current_price(ctx: wf.WorkflowActivityContext, item: str) -> Decimal:
    """Ask the price API, whose address is a setting of this machine."""
    url = f"{os.environ['PRICE_API']}/prices/{quote(item)}"
    with urlopen(url, timeout=AT_MOST.total_seconds() / 2) as answer:
        return Decimal(json.load(answer)["price"])


@wfr.activity
def hour_there(ctx: wf.WorkflowActivityContext, local: LocalTime) -> int:
    """Return the hour that clocks in a zone showed at a moment, 0 to 23."""
    return local.at.astimezone(ZoneInfo(local.time_zone)).hour


@wfr.activity(retry_policy=PATIENT, start_to_close_timeout=AT_MOST)
def ship(ctx: wf.WorkflowActivityContext, shipment: Shipment) -> str:
    """Tell the warehouse; a real one would get `ctx.idempotency_key` too, so that no retry ships twice."""
    return f"{shipment.quantity} x {shipment.item} from the {shipment.warehouse.partition(',')[0]}"


# -- the program: an API that fails at first, and one order -----------------------------------------------------------


class PriceApi(BaseHTTPRequestHandler):
    """Stands in for the external API; its first answer is an error, to show the retry."""

    answered = 0

    def do_GET(self) -> None:
        """Answer with a price, but for the first time."""
        PriceApi.answered += 1
        self.send_response(503 if PriceApi.answered == 1 else 200)
        self.end_headers()
        self.wfile.write(b'{"price": "3.20"}')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that the base gives it
        """Say nothing."""


def main() -> None:
    """Serve prices, place one order and print what became of it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), PriceApi) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        os.environ["PRICE_API"] = f"http://127.0.0.1:{api.server_port}"
        with wfr, wf.WorkflowClient() as client:
            instance_id = client.schedule_new_workflow(place_order, input=Order("coffee", 3, "Europe/Vienna"))
            placed = client.wait_for_workflow_completion(instance_id).result(Confirmation)
        api.shutdown()
    print(f"order {placed.order_id}: {placed.parcel}, {placed.total} in all")


if __name__ == "__main__":
    main()
