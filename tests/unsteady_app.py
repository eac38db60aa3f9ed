"""Workflows whose replays depend on something that no replay should; and others that look alike and do not.

`UNSTEADY` says for each by which perturbation it must be found.
"""

from __future__ import annotations

import getpass
import itertools
import locale
import os
import platform
import random
import secrets
import socket
import time
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, date, timedelta
from datetime import datetime as moment
from functools import cache
from pathlib import Path
from time import time as seconds
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime()
UNSTEADY: dict[str, str] = {}
STEADY: list[str] = []
CITIES = ["Aachen", "Bergen", "Como", "Delft", "Essen", "Faro", "Gent"]
LUCKY = random.randint(0, 10**9)
REGION = os.getenv("SHOP_REGION", "eu")
STARTED = moment.now(UTC).isoformat()
_numbers = itertools.count()
_seen: list[str] = []


class Thing:
    """Without a `__repr__` of its own."""

    def __init__(self, name: str) -> None:
        self.name = name


@wfr.activity
def note(ctx: wf.WorkflowActivityContext, value: Any) -> None:
    """Something to call."""


@wfr.activity
def morning(ctx: wf.WorkflowActivityContext) -> None:
    """Called before noon."""


@wfr.activity
def evening(ctx: wf.WorkflowActivityContext) -> None:
    """Called after noon."""


def unsteady(by: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function whose value a workflow notes, and by which perturbation it must be found."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        UNSTEADY[function.__name__] = by
        _add(function)
        return function

    return register


def steady(function: Callable[..., Any]) -> Callable[..., Any]:
    """Registers a function whose value a workflow notes, and that depends on nothing."""
    STEADY.append(function.__name__)
    _add(function)
    return function


def _add(function: Callable[..., Any]) -> None:
    def workflow(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(note, input="first")
        yield ctx.call_activity(note, input=function(ctx))
        return "done"

    wfr.register_workflow(workflow, name=function.__name__)


@unsteady("hash-seed")
def members_of_a_set(ctx: wf.WorkflowContext) -> Any:
    return list(set(CITIES))


@unsteady("hash-seed")
def text_of_a_frozenset(ctx: wf.WorkflowContext) -> Any:
    return ", ".join(frozenset(CITIES))


@unsteady("hash-seed")
def dictionary_from_a_set(ctx: wf.WorkflowContext) -> Any:
    return {city: len(city) for city in {*CITIES}}


@unsteady("hash-seed")
def hash_of_text(ctx: wf.WorkflowContext) -> Any:
    return hash("order-7") % 1_000


@unsteady("memory")
def sorted_by_id(ctx: wf.WorkflowContext) -> Any:
    return [thing.name for thing in sorted((Thing(city) for city in CITIES), key=id)]


@unsteady("process")
def address_in_a_repr(ctx: wf.WorkflowContext) -> Any:
    return f"{Thing('Como')}"


@unsteady("process")
def fresh_uuid(ctx: wf.WorkflowContext) -> Any:
    return str(uuid.uuid4())


@unsteady("process")
def secret(ctx: wf.WorkflowContext) -> Any:
    return secrets.token_hex(4)


@unsteady("locale")
def number_as_people_write_it(ctx: wf.WorkflowContext) -> Any:
    return locale.format_string("%d", 1_234_567, grouping=True)


@unsteady("locale")
def name_of_the_day(ctx: wf.WorkflowContext) -> Any:
    return f"{ctx.current_utc_datetime:%A, %d %B}"


@unsteady("time-zone")
def hour_here(ctx: wf.WorkflowContext) -> Any:
    return ctx.current_utc_datetime.astimezone().hour


@unsteady("time-zone")
def seconds_of_a_local_time(ctx: wf.WorkflowContext) -> Any:
    return time.mktime((2030, 1, 31, 12, 0, 0, 0, 0, 0))


@unsteady("environment")
def setting(ctx: wf.WorkflowContext) -> Any:
    return os.environ.get("SHOP_CURRENCY", "EUR")


@unsteady("environment")
def setting_at_import(ctx: wf.WorkflowContext) -> Any:
    return REGION


@unsteady("host")
def host_name(ctx: wf.WorkflowContext) -> Any:
    return socket.gethostname()


@unsteady("host")
def node_and_user(ctx: wf.WorkflowContext) -> Any:
    return [platform.node(), getpass.getuser()]


@unsteady("random-seed")
def random_number(ctx: wf.WorkflowContext) -> Any:
    return random.random()


@unsteady("random-seed")
def random_at_import(ctx: wf.WorkflowContext) -> Any:
    return LUCKY


@unsteady("state")
def global_counter(ctx: wf.WorkflowContext) -> Any:
    return next(_numbers)


@unsteady("state")
def global_list(ctx: wf.WorkflowContext) -> Any:
    _seen.append(ctx.instance_id)
    return len(_seen)


@unsteady("state")
def cached_once(ctx: wf.WorkflowContext) -> Any:
    _length_of(ctx.workflow_name)
    return _length_of.cache_info().hits


@cache
def _length_of(name: str) -> int:
    return len(name)


@unsteady("folder")
def file_here(ctx: wf.WorkflowContext) -> Any:
    return Path("pyproject.toml").exists()


@unsteady("folder")
def folder_name(ctx: wf.WorkflowContext) -> Any:
    return str(Path.cwd())


@unsteady("clock")
def moment_now(ctx: wf.WorkflowContext) -> Any:
    return moment.now(UTC).isoformat()


@unsteady("clock")
def seconds_now(ctx: wf.WorkflowContext) -> Any:
    return int(seconds())


@unsteady("clock,time-zone")
def day_today(ctx: wf.WorkflowContext) -> Any:
    return date.today().isoformat()


@unsteady("clock")
def moment_of_import(ctx: wf.WorkflowContext) -> Any:
    return STARTED


@unsteady("clock,time-zone")
def formatted_now(ctx: wf.WorkflowContext) -> Any:
    return time.strftime("%Y-%m-%d %H")


UNSTEADY["branch_on_the_hour"] = "clock"


@wfr.workflow
def branch_on_the_hour(ctx: wf.WorkflowContext) -> Any:
    """Calls another activity in the morning than in the evening."""
    yield ctx.call_activity(note, input="first")
    yield ctx.call_activity(morning if time.gmtime().tm_hour < 12 else evening)


UNSTEADY["fan_out_over_a_set"] = "hash-seed"


@wfr.workflow
def fan_out_over_a_set(ctx: wf.WorkflowContext) -> Any:
    """Calls activities in the order of a set."""
    yield wf.when_all([ctx.call_activity(note, input=city) for city in set(CITIES)])


UNSTEADY["two_faults"] = "process,hash-seed"


@wfr.workflow
def two_faults(ctx: wf.WorkflowContext) -> Any:
    """A fresh id in every process must not hide the order of the set behind it."""
    yield ctx.call_activity(note, input=str(uuid.uuid4()))
    yield ctx.call_activity(note, input=list(set(CITIES)))


@steady
def sorted_set(ctx: wf.WorkflowContext) -> Any:
    return sorted(set(CITIES))


@steady
def set_of_small_numbers(ctx: wf.WorkflowContext) -> Any:
    return [sum({1, 2, 3}), len(set(CITIES)), "Como" in set(CITIES)]


@steady
def checksum(ctx: wf.WorkflowContext) -> Any:
    return zlib.crc32(b"order-7")


@steady
def own_id(ctx: wf.WorkflowContext) -> Any:
    return str(ctx.new_uuid())


@steady
def own_random(ctx: wf.WorkflowContext) -> Any:
    return ctx.random().sample(CITIES, 3)


@steady
def own_clock(ctx: wf.WorkflowContext) -> Any:
    return (ctx.current_utc_datetime + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")


@steady
def seeded_generator(ctx: wf.WorkflowContext) -> Any:
    return random.Random(7).random()


@steady
def moment_in_utc(ctx: wf.WorkflowContext) -> Any:
    return moment.fromtimestamp(1_900_000_000, UTC).isoformat()


@steady
def logged_only(ctx: wf.WorkflowContext) -> Any:
    ctx.logger.info("%s %s %s", uuid.uuid4(), seconds(), os.getpid())
    return None


@steady
def plain_mapping(ctx: wf.WorkflowContext) -> Any:
    return dict.fromkeys(CITIES, 1)


if __name__ == "__main__":
    wfr.run()
