"""Quotes of a supplier."""

import os
import random

import requests


class Quotes:
    def best(self, sku: str) -> float:
        return min(self._ask(supplier, sku) for supplier in ("north", "south"))

    def _ask(self, supplier: str, sku: str) -> float:
        return requests.get(f"https://{supplier}.example/{sku}", timeout=5).json()["price"]  # violation(quote): io: two methods and a re-export away


def discount(amount: float) -> float:
    if os.getenv("BLACK_FRIDAY"):  # violation(friday): environment: a flag read in a helper
        return amount * 0.5
    return amount * random.choice([0.9, 0.95])  # violation(lottery): random: in the same helper
