"""Activities, known as such only by how workflows and the runtime name them."""

import smtplib
import time

import requests

from store.helpers import age, stage, timed


@timed
def pay(ctx, payment: dict) -> bool:
    if stage() == "test":
        time.sleep(0.01)  # near miss: an activity by registration
        return True
    return requests.post("https://pay.example", json=payment, timeout=5).ok  # near miss: the same


class Mailer:
    @staticmethod
    def send(ctx, cart: dict) -> float:
        with smtplib.SMTP("localhost") as server:  # near miss: an activity by its call
            server.sendmail("shop@example", cart["mail"], "paid")
        return age(cart["at"])
