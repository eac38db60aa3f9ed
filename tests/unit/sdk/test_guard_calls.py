"""What the guard refuses in workflow code, however it is written, and what it says of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import functools
import glob
import os
import pathlib
import platform
import random
import secrets
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime
from random import choice as draw
from time import sleep
from time import time as aliased
from typing import Any

import pytest

import guarded
import tenuto as wf
from guarded import Stopwatch, reads_clock, reads_clock_cached, reads_clock_two_calls_away, refusal
from tenuto._guard.guard import Mode
from tenuto._replay import events as e

RNG = random.Random(1)
FILE = pathlib.Path(__file__)


class Moment(datetime):
    """A subclass of the user's."""


@dataclass
class Stamped:
    at: datetime = field(default_factory=datetime.now)


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@traced
def decorated_clock() -> float:
    return time.time()


def workflow_of(ask: Callable[[], Any]) -> Callable[[wf.WorkflowContext], Any]:
    """A workflow that does nothing else."""

    def workflow(ctx: wf.WorkflowContext) -> Any:
        return ask()

    return workflow


CLOCKS: dict[str, Callable[[], Any]] = {
    "module": lambda: time.time(),
    "alias": lambda: aliased(),
    "getattr": lambda: getattr(time, "ti" + "me")(),
    "from a table": lambda: {"f": time.time_ns}["f"](),
    "star arguments": lambda: time.time(*()),
    "classmethod": lambda: dt.datetime.now(dt.UTC),
    "date": lambda: dt.date.today(),
    "subclass": lambda: Moment.now(),
    "subclass, today": lambda: Moment.today(),
    "now, kept": lambda: [now() for now in (datetime.now,)],
    "local time": lambda: time.localtime(),
    "text of now": lambda: time.strftime("%Y"),
    "counter": lambda: time.perf_counter(),
    "comprehension": lambda: [time.time() for _ in range(2)],
    "callback of C code": lambda: sorted([2, 1], key=lambda _: time.time()),
    "callback by name": lambda: max([1, 2], key=lambda _: reads_clock()),
    "map": lambda: list(map(lambda _: reads_clock(), [1])),
    "helper elsewhere": reads_clock,
    "helper of a helper": reads_clock_two_calls_away,
    "through the module": lambda: guarded.reads_clock(),
    "partial": lambda: functools.partial(reads_clock_two_calls_away)(),
    "decorated": decorated_clock,
    "cached helper": lambda: reads_clock_cached(len("ab")),
    "method": lambda: Stopwatch().elapsed(),
    "map of a method": lambda: [*map(str, [1]), *map(Stopwatch().since, [1])],
    "staticmethod": lambda: Stopwatch.static(),
    "classmethod of the user's": lambda: Stopwatch.of_class(),
    "property": lambda: Stopwatch().now,
    "cached property": lambda: Stopwatch().began,
    "special method": lambda: len(Stopwatch()),
    "callable object": lambda: Stopwatch()(),
    "default factory": lambda: Stamped(),
}


@pytest.mark.parametrize("ask", CLOCKS.values(), ids=list(CLOCKS))
def test_clocks_are_refused_however_they_are_reached(ask: Callable[[], Any]) -> None:
    """Aliases, callbacks, helpers, methods and generated code hide no clock."""
    problem = refusal(workflow_of(ask))
    assert problem.rule in ("TEN101", "TEN102", "TEN103")
    assert "ctx.current_utc_datetime" in problem.instead
    assert "test_guard_calls.py:" in problem.place or "guarded.py:" in problem.place


OTHERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "sleep": ("TEN106", lambda: sleep(0)),
    "module's random numbers": ("TEN121", lambda: random.random()),
    "randint": ("TEN121", lambda: random.randint(1, 2)),
    "from-import": ("TEN121", lambda: draw("ab")),
    "map of a Python function": ("TEN121", lambda: list(map(random.choice, ["ab"]))),
    "seeding for all": ("TEN121", lambda: random.seed(1)),
    "unseeded": ("TEN122", lambda: random.Random()),
    "system": ("TEN122", lambda: random.SystemRandom().randint(1, 2)),
    "urandom": ("TEN122", lambda: os.urandom(2)),
    "secrets": ("TEN122", lambda: secrets.token_hex(2)),
    "secret choice": ("TEN122", lambda: secrets.choice("ab")),
    "module's own generator": ("TEN123", lambda: RNG.random()),
    "module's own generator, Python": ("TEN123", lambda: RNG.randint(1, 2)),
    "uuid4": ("TEN124", lambda: uuid.uuid4()),
    "uuid1": ("TEN124", lambda: uuid.uuid1()),
    "variable": ("TEN148", lambda: os.environ["PATH"]),
    "getenv": ("TEN148", lambda: os.getenv("PATH")),
    "get": ("TEN148", lambda: os.environ.get("NOWHERE")),
    "in": ("TEN148", lambda: "PATH" in os.environ),
    "all variables": ("TEN148", lambda: dict(os.environ)),
    "home": ("TEN148", lambda: os.path.expanduser("~")),
    "set variable": ("TEN148", lambda: os.environ.__setitem__("TENUTO_TEST", "1")),
    "pid": ("TEN149", lambda: os.getpid()),
    "folder": ("TEN149", lambda: os.getcwd()),
    "host": ("TEN149", lambda: socket.gethostname()),
    "platform": ("TEN149", lambda: platform.node()),
    "file": ("TEN144", lambda: FILE.open().close()),
    "file's text": ("TEN144", lambda: FILE.read_text()),
    "descriptor": ("TEN144", lambda: os.close(os.open(FILE, os.O_RDONLY))),
    "exists": ("TEN144", lambda: os.path.exists(FILE)),
    "path exists": ("TEN144", lambda: FILE.exists()),
    "listing": ("TEN145", lambda: os.listdir("/")),
    "glob": ("TEN145", lambda: list(FILE.parent.glob("*.x"))),
    "socket": ("TEN147", lambda: socket.socket().close()),
    "name": ("TEN147", lambda: socket.getaddrinfo("localhost", 1)),
    "process": ("TEN146", lambda: subprocess.run(["true"], check=True)),
    "shell": ("TEN146", lambda: os.system("true")),
    "thread": ("TEN161", lambda: threading.Thread(target=print).start()),
    "pool": ("TEN162", lambda: concurrent.futures.ThreadPoolExecutor(1).submit(print)),
    "database": ("TEN142", lambda: sqlite3.connect(":memory:")),
    "gather": ("TEN163", lambda: asyncio.gather()),
    "loop": ("TEN166", lambda: asyncio.new_event_loop()),
}


@pytest.mark.parametrize(("rule", "ask"), OTHERS.values(), ids=list(OTHERS))
def test_what_answers_otherwise_or_acts_again_is_refused(rule: str, ask: Callable[[], Any]) -> None:
    """Randomness, the machine, files, the network, processes and threads are each refused by their rule."""
    assert refusal(workflow_of(ask)).rule == rule


def test_what_was_opened_before_is_refused_too(tmp_path: pathlib.Path) -> None:
    """Files, sockets and connections that are made elsewhere are not used in a workflow."""
    path = tmp_path / "f"
    path.write_text("text")
    with path.open() as file, sqlite3.connect(":memory:") as base, socket.socket() as sock:
        uses: list[tuple[str, Callable[[], Any]]] = [
            ("TEN144", lambda: file.read()),
            ("TEN142", lambda: base.execute("select 1")),
            ("TEN147", lambda: sock.recv(1)),
        ]
        assert [refusal(workflow_of(use)).rule for _, use in uses] == [rule for rule, _ in uses]
    base.close()


def test_generators_and_coroutines_are_watched_at_each_step() -> None:
    """Code behind a wait, in a generator that is delegated to, and in awaited helpers is user code as well."""

    def part(ctx: wf.WorkflowContext) -> Generator[Any, Any, float]:
        yield ctx.wait_for_external_event("go")
        return time.time()

    def delegating(ctx: wf.WorkflowContext) -> Any:
        return (yield from part(ctx))

    async def helper(ctx: wf.WorkflowContext) -> float:
        await ctx.wait_for_external_event("go")
        return time.time()

    async def awaiting(ctx: wf.WorkflowContext) -> float:
        return await helper(ctx)

    for workflow in (delegating, awaiting):
        executor = guarded.live(workflow, Mode.RAISE)
        begun = executor.run([], [e.TurnStarted(1), e.ExecutionStarted("w", "i", "x")])
        assert begun.problem is None
        outcome = executor.run([], [e.TurnStarted(2), e.EventRaised("go")])
        assert isinstance(outcome.problem, wf.GuardViolation)
        assert outcome.problem.rule == "TEN102"


async def test_tasks_of_the_loop_are_refused() -> None:
    """An `async` workflow waits for tasks of its context, not for the loop's."""

    async def sleeps(ctx: wf.WorkflowContext) -> None:
        await asyncio.sleep(1)

    async def spawns(ctx: wf.WorkflowContext) -> None:
        waiting = asyncio.sleep(1)
        try:
            asyncio.create_task(waiting)  # noqa: RUF006  # refused
        finally:
            waiting.close()

    assert refusal(sleeps).rule == "TEN107"
    assert refusal(spawns).rule == "TEN163"


def test_a_refusal_says_all_that_is_needed() -> None:
    """Instance, call, the user's line and function, the workflow, the replacement, the rule, and what to do next."""
    first = reads_clock.__code__.co_firstlineno

    def priced(ctx: wf.WorkflowContext) -> float:
        return reads_clock_two_calls_away()

    problem = refusal(priced)
    text = str(problem)
    assert text.splitlines()[0] == (
        "GUARD_REFUSED: Workflow code calls time.time(): a clock, another moment on each replay"
    )
    assert (problem.instance_id, problem.call, problem.function) == ("i", "time.time()", "reads_clock")
    assert problem.place.endswith(f"tests/guarded.py:{first + 2}")
    assert problem.workflow.startswith("test_a_refusal_says_all_that_is_needed.<locals>.priced (")
    for part in ("instance:  i", "ctx.current_utc_datetime.timestamp()", "tenuto explain TEN102", "resume i"):
        assert part in text


def test_what_a_library_does_is_named_by_the_call_of_it() -> None:
    """The user called `subprocess.run`, and reads that before the system's name of what it does."""

    def workflow(ctx: wf.WorkflowContext) -> Any:
        return subprocess.run(["true"], check=True)

    assert refusal(workflow).call == "subprocess.run(), which does subprocess.Popen()"


def test_a_field_that_fills_itself_is_named_by_its_class() -> None:
    """The constructor of a dataclass is generated code; the user called the class, and reads its name."""

    def workflow(ctx: wf.WorkflowContext) -> Any:
        return Stamped()

    assert refusal(workflow).call == f"{__name__}.Stamped(), which does datetime.datetime.now()"


def test_a_function_that_does_it_itself_is_named_once() -> None:
    """`glob.glob` is not said to do `glob.glob`."""

    def workflow(ctx: wf.WorkflowContext) -> Any:
        return glob.glob("*")

    assert refusal(workflow).call == "glob.glob()"


def test_swallowing_the_refusal_does_not_help() -> None:
    """`except Exception` does not catch it, and where a bare `except` does, the turn is refused all the same."""
    went_on: list[str] = []

    def careful(ctx: wf.WorkflowContext) -> None:
        try:
            time.time()
        except Exception:
            went_on.append("careful")

    def careless(ctx: wf.WorkflowContext) -> str:
        try:
            time.time()
        except BaseException:
            went_on.append("careless")
        ctx.set_custom_status("never recorded")
        return "done"

    assert refusal(careful).rule == "TEN102"
    assert refusal(careless).rule == "TEN102"
    assert went_on == ["careless"]


def test_the_refused_call_is_not_made(tmp_path: pathlib.Path) -> None:
    """Neither a file nor a process comes into being."""
    path = tmp_path / "made"

    def writes(ctx: wf.WorkflowContext) -> None:
        path.write_text("x")

    def spawns(ctx: wf.WorkflowContext) -> None:
        subprocess.run(["touch", str(path)], check=True)

    assert refusal(writes).rule == "TEN144"
    assert refusal(spawns).rule == "TEN146"
    assert not path.exists()
