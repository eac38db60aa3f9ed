"""The crash matrix: whatever dies, and whenever, the outcome is that of an undisturbed run.

A workflow that uses every feature runs against an engine that kills itself at one fault point, at one of the times the
point is reached. `make test` takes a sample of the times, `make crash` all of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crash.looking import Recorded
from crash.scenario import NUMBERS, Line, Run, Scenario
from engines import short_folder
from servers import PostgresServer, RedisServer
from tenuto_engine.codec.events import decode_event
from tenuto_engine.core import events as e
from tenuto_engine.runtime.faults import POINTS

AT_ONCE = 4  # runs side by side: most of a run is waiting
SEED = 20_260_105
ALL = os.environ.get("TENUTO_CRASH") == "all"

StoreOf = Callable[[Path], str]


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def store_of(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_of: Callable[[], PostgresServer],
) -> Iterator[StoreOf]:
    """Gives the URL of an empty store for a run in a folder."""
    if request.param == "sqlite":
        yield lambda folder: f"sqlite:///{folder}/state.db"
        return
    if request.param == "postgres":
        postgres = postgres_of()
        yield lambda _folder: postgres.new_database()
        return
    port = _free_port()
    server = RedisServer(tmp_path_factory.mktemp("redis"), port=str(port), databases="4096")
    server.start()
    numbers = itertools.count()
    yield lambda _folder: f"redis://127.0.0.1:{port}/{next(numbers)}"
    server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def undisturbed(store_of: StoreOf) -> tuple[Run, Counter[str]]:
    """A run in which nothing dies, and how often it reached each point."""
    with short_folder() as folder:
        log = folder / "faults"
        scenario = Scenario(folder, store_of(folder))
        run = asyncio.run(scenario.play(TENUTO_FAULT_LOG=str(log), TENUTO_ALLOW_FAULTS="1"))
        lines = [line.split() for line in log.read_text().splitlines()]
        return run, Counter({name: int(count) for name, count in lines})


async def crash(store_of: StoreOf, fault: str, *, kills_app: bool) -> Run:
    """One run that dies at `fault`; a failure tells what the processes said."""
    with short_folder() as folder:
        scenario = Scenario(folder, store_of(folder), kills_app=kills_app)
        try:
            return await scenario.play(TENUTO_FAULT=fault, TENUTO_ALLOW_FAULTS="1")
        except BaseException as error:
            said = "\n".join(f"-- {path.name}\n{path.read_text()[-4000:]}" for path in folder.glob("*.log"))
            raise AssertionError(f"{fault}: {error!r}\n{said}") from error


def chosen(point: str, count: int) -> list[tuple[int, bool]]:
    """The times at which to die, and whether the application dies too: a sample, or all where that is asked for."""
    if ALL:
        return [(time, kills_app) for time in range(1, count + 1) for kills_app in (False, True)]
    between = random.Random(f"{SEED} {point}")
    alone = sorted({1, count, between.randint(1, count)})
    return [*((time, False) for time in alone), (between.randint(1, max(1, count * 3 // 4)), True)]


@pytest.mark.parametrize("point", POINTS)
async def test_crash(point: str, store_of: StoreOf, undisturbed: tuple[Run, Counter[str]]) -> None:
    """An engine killed at any point ends, once started again, where an undisturbed one ends.

    No activity runs twice for it. If the application dies too, only those calls run again whose result was not
    recorded at the crash.
    """
    expected, counts = undisturbed
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(time: int, kills_app: bool) -> Run:
        async with slots:
            fault = f"{point}#{time}"
            run = await crash(store_of, fault, kills_app=kills_app)
            check(fault, run, expected)
            check_repeats(fault, run, kills_app=kills_app)
            return run

    runs = await asyncio.gather(*(one(*each) for each in chosen(point, counts[point])))
    assert any(run.before is not None for run in runs), f"no run reached {point}"


def check_repeats(fault: str, run: Run, *, kills_app: bool) -> None:
    """A call runs again only if its application died, and its result was not recorded at the crash."""
    if not kills_app:
        seen = Counter((line.call, line.attempt) for line in run.ledger)
        again: list[object] = [call for call, times in seen.items() if times > 1]
    else:
        again = [line for line in run.ledger[run.ledger_before :] if run.before and was_recorded(line, run)]
    assert not again, f"{fault}: ran again without need: {again}"


def was_recorded(line: Line, run: Run) -> bool:
    """Whether the result of this call was in the store at the crash."""
    assert run.before is not None
    record = run.before.get(line.instance)
    if record is None:
        return False
    earlier = {before.execution for before in run.ledger[: run.ledger_before]}
    if line.execution != record.execution_id:
        # An execution that was continued as new is over, with all its calls.
        return line.execution in earlier
    return line.event in record.closed_calls


# -- what must hold of every run ------------------------------------------------------------------------------------


def check(fault: str, run: Run, expected: Run) -> None:
    assert run.outcome == expected.outcome, fault
    assert not run.left, f"{fault}: left over: {run.left}"
    for name, before in (run.before or {}).items():
        check_extends(f"{fault}: {name}", before, run.after[name])
    for name, record in run.after.items():
        check_record(f"{fault}: {name}", [decode_event(raw) for raw in record.history])
    check_commands(fault, {name: [decode_event(raw) for raw in r.history] for name, r in run.after.items()})
    check_ledger(fault, run.ledger, expected.ledger)


def check_extends(what: str, before: Recorded, after: Recorded) -> None:
    """What was recorded at the crash stands unchanged, byte by byte, at the beginning of what is recorded now."""
    if before.execution_id == after.execution_id:
        assert after.history[: len(before.history)] == before.history, what
    else:
        assert after.generation > before.generation, f"{what}: the execution was replaced, not continued"


def check_record(what: str, history: list[e.Event]) -> None:
    """Every operation of a history has at most one answer, and every answer an operation."""
    asked = Counter(x.event_id for x in history if isinstance(x, e.ActivityScheduled | e.ChildCreated | e.TimerCreated))
    closing = [x for x in history if isinstance(x, e.ActivityCompleted | e.ActivityFailed)]
    returning = [x for x in history if isinstance(x, e.ChildCompleted | e.ChildFailed | e.TimerFired)]
    answered = Counter(x.event_id for x in [*closing, *returning])
    assert set(asked.values()) <= {1}, what
    assert set(answered.values()) <= {1}, what
    assert set(answered) <= set(asked), what
    times = [x.at_ms for x in history if isinstance(x, e.TurnStarted)]
    assert times == sorted(times), f"{what}: time went back"


def check_commands(fault: str, histories: dict[str, list[e.Event]]) -> None:
    """Every acknowledged command has its effect exactly once."""

    def count(name: str, kind: type[e.Event]) -> int:
        return sum(isinstance(event, kind) for event in histories[name])

    assert count("held", e.EventRaised) == len(NUMBERS), fault
    assert (count("held", e.ExecutionSuspended), count("held", e.ExecutionResumed)) == (1, 1), fault
    assert (count("tree", e.ExecutionTerminated), count("tree/child", e.ExecutionTerminated)) == (1, 1), fault
    for name, history in histories.items():
        assert sum(isinstance(event, e.ExecutionStarted) for event in history) == 1, f"{fault}: {name}"


def check_ledger(fault: str, ledger: list[Line], expected: list[Line]) -> None:
    """The same calls were made as in the undisturbed run, with the same input in each run; no attempt was left out."""

    def tries(lines: list[Line]) -> Counter[tuple[str, str, int]]:
        distinct = {(line.instance, line.call, line.activity, line.attempt) for line in lines}
        return Counter((instance, activity, attempt) for instance, _, activity, attempt in distinct)

    assert tries(ledger) == tries(expected), fault
    values: dict[tuple[str, int], object] = {}
    for line in ledger:
        assert values.setdefault(line.call, line.value) == line.value, f"{fault}: {line} differs in a replay"
