"""Pure and impure helpers, side by side."""

import functools
import os
import time
from datetime import UTC, datetime


def net_price(item: dict) -> int:
    return item["cents"] * item["n"]


@functools.lru_cache
def slug(name: str) -> str:  # near miss: a cache of a pure function
    return "-".join(name.lower().split())


def normalise(name: str) -> str:
    return name.strip()


def stage() -> str:
    return os.environ["STAGE"]  # near miss: only activities call it


def age(since: datetime) -> float:
    return (datetime.now(UTC) - since).total_seconds()  # near miss: only activities call it


def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        began = time.perf_counter()  # near miss: wraps activities only
        try:
            return function(*args, **kwargs)
        finally:
            print(time.perf_counter() - began)  # near miss: the same

    return wrapper
