"""What the guard lets pass: what is deterministic, what is not user code's doing, and what its author has excepted."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import random
import sys
import textwrap
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import guarded
import tenuto as wf
from guarded import one_turn
from replay_world import registry_of
from tenuto._guard import guard as guard_module
from tenuto._guard import stacks
from tenuto._guard.guard import Mode
from tenuto._payloads import Payloads
from tenuto._replay import events as e
from tenuto._replay.executor import Executor


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests were told is forgotten."""
    monkeypatch.setattr(guard_module, "_told", set())
    monkeypatch.setattr(guard_module, "_asides", set())


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """Writes and imports modules that count as installed."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.setattr(stacks, "LIBRARY_FOLDERS", (*stacks.LIBRARY_FOLDERS, f"{folder}{os.sep}"))
    monkeypatch.syspath_prepend(folder)
    made: list[str] = []

    def make(name: str, text: str) -> Any:
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


def assert_silent(workflow: Callable[..., Any], caplog: pytest.LogCaptureFixture, **options: Any) -> None:
    """Neither refused nor warned about."""
    outcome = one_turn(workflow, **options)
    assert outcome.problem is None, outcome.problem
    assert [record.getMessage() for record in caplog.records if record.name == "tenuto.guard"] == []


class Key:
    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.name == other.name


@dataclass(frozen=True)
class Price:
    amount: int
    currency: str


PURE: dict[str, Callable[[Any], Any]] = {
    "arithmetic of moments": lambda ctx: ctx.current_utc_datetime + timedelta(days=1),
    "moments from numbers": lambda ctx: (
        datetime.fromtimestamp(0, UTC),
        time.gmtime(0),
        time.strftime("%Y", time.gmtime(0)),
    ),
    "parsing moments": lambda ctx: datetime.fromisoformat("2020-01-01T00:00:00+00:00"),
    "own random numbers": lambda ctx: (ctx.random().random(), ctx.random().randint(1, 6), ctx.random().choice("ab")),
    "seeded generator": lambda ctx: [
        draw(random.Random(7)) for draw in (random.Random.random, lambda own: own.sample("abc", 2))
    ],
    "own ids": lambda ctx: ctx.new_uuid(),
    "named ids": lambda ctx: uuid.uuid5(uuid.NAMESPACE_DNS, "a"),
    "digests": lambda ctx: hashlib.sha256(b"x").hexdigest(),
    "json": lambda ctx: json.loads(json.dumps({"a": [1, 2.5, None]})),
    "hash in a set": lambda ctx: len({Key("a"), Key("b")}) + len({Price(1, "EUR")}),
    "paths as text": lambda ctx: Path("a") / "b" / "c.txt",
    "path functions as text": lambda ctx: os.path.join("a", os.path.basename("b/c")),
    "time zones": lambda ctx: ctx.current_utc_datetime.astimezone(ZoneInfo("Europe/Berlin")),
    "printing": lambda ctx: sys.stdout.write("hello\n"),
    "locks": lambda ctx: threading.Lock(),
    "traceback": lambda ctx: "".join(traceback.format_stack()),
    "own log": lambda ctx: ctx.logger.info("hello %s", "you"),
    "standard log": lambda ctx: logging.getLogger("app").warning("hello"),
    "operations": lambda ctx: [
        ctx.create_timer(timedelta(hours=1)),
        ctx.wait_for_external_event("x"),
        ctx.is_patched("p"),
    ],
}


@pytest.mark.parametrize("ask", PURE.values(), ids=list(PURE))
def test_deterministic_code_is_let_pass(ask: Callable[[Any], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Neither the context's own answers nor pure computing look like a violation."""

    def workflow(ctx: wf.WorkflowContext) -> None:
        ask(ctx)

    assert_silent(workflow, caplog)


def test_a_log_handler_may_open_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logging reads clocks and opens files; that is not what the workflow does."""
    log, handler = logging.getLogger("tests.guard"), logging.FileHandler(tmp_path / "log", delay=True)
    log.addHandler(handler)

    def workflow(ctx: wf.WorkflowContext) -> None:
        log.warning("hello")

    try:
        assert_silent(workflow, caplog)
    finally:
        log.removeHandler(handler)
        handler.close()
    assert "hello" in (tmp_path / "log").read_text()


def test_modules_may_be_imported_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Importing reads files, and what a module does while it is imported happens once per process."""
    (tmp_path / "imported_late.py").write_text("import os, time\nat = time.time()\nhome = os.environ.get('HOME')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def workflow(ctx: wf.WorkflowContext) -> None:
        importlib.import_module("imported_late")

    try:
        assert_silent(workflow, caplog)
    finally:
        sys.modules.pop("imported_late", None)


def test_a_codec_may_use_random_numbers(caplog: pytest.LogCaptureFixture) -> None:
    """What the SDK does for the workflow is not the workflow's doing: a codec that encrypts needs a nonce."""

    class Codec:
        def encode(self, data: bytes) -> bytes:
            return os.urandom(4) + data

        def decode(self, data: bytes) -> bytes:
            time.time()
            return data[4:]

    def workflow(ctx: wf.WorkflowContext) -> Any:
        ctx.set_custom_status("here")
        return (yield ctx.call_activity("act", input=1, result_type=int))

    assert_silent(workflow, caplog, payloads=Payloads(Codec()))


def test_activities_and_other_threads_are_untouched() -> None:
    """While a turn runs, another thread uses clocks, files and random numbers as it likes."""
    may_work, worked = threading.Event(), threading.Event()
    found: list[Any] = []

    def activity() -> None:
        may_work.wait()
        found.extend([time.time(), uuid.uuid4(), random.random(), Path(__file__).read_text(), os.environ.get("PATH")])
        worked.set()

    def workflow(ctx: wf.WorkflowContext) -> None:
        may_work.set()
        worked.wait(guarded_wait)

    guarded_wait = 30
    thread = threading.Thread(target=activity)
    thread.start()
    outcome = one_turn(workflow)
    thread.join()
    assert outcome.problem is None
    assert len(found) == 5


def test_nothing_is_watched_between_turns() -> None:
    """Before, between and after steps no hook is left on the thread, and the same calls are free."""
    executor = guarded.live(lambda ctx: 1, Mode.RAISE)
    assert sys.getprofile() is None
    executor.run([], [e.TurnStarted(1), e.ExecutionStarted("w", "i", "x")])
    assert sys.getprofile() is None
    assert guarded.reads_clock() > 0
    assert Path(__file__).exists()


def test_cleaning_up_is_not_watched() -> None:
    """Code that is dropped where it waits ends with its clean-up, which nobody refuses; no hook is left."""
    seen: list[float] = []

    def workflow(ctx: wf.WorkflowContext) -> Any:
        try:
            yield ctx.wait_for_external_event("never")
        finally:
            seen.append(time.time())
            ctx.call_activity("too late")

    assert one_turn(workflow).problem is None
    assert len(seen) == 1
    assert sys.getprofile() is None


def test_a_destructor_is_nobodys_doing() -> None:
    """Garbage is collected whenever it is, so what a destructor does is not the workflow's."""

    class Closing:
        def __del__(self) -> None:
            time.time()
            Path(__file__).read_bytes()

    def workflow(ctx: wf.WorkflowContext) -> None:
        Closing()

    assert one_turn(workflow).problem is None


def test_a_line_may_except_itself(caplog: pytest.LogCaptureFixture) -> None:
    """The linter's comment counts here as well, for the rule that it names."""

    def excepted(ctx: wf.WorkflowContext) -> float:
        return time.time()  # tenuto: ignore[TEN102] only logged

    def other_rule(ctx: wf.WorkflowContext) -> float:
        return time.time()  # tenuto: ignore[TEN101] only logged

    assert_silent(excepted, caplog)
    assert one_turn(other_rule).problem is not None


def test_a_library_keeps_its_own_time(library: Callable[[str, str], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Clocks inside of an installed library are its own affair; files that it opens are not."""
    module = library(
        "some_library",
        """
        import time, pathlib
        def measured(): return time.perf_counter()
        def settings(path): return pathlib.Path(path).read_text()
        def own_data(): return pathlib.Path(__file__).read_text()
        """,
    )
    path = __file__

    def measures(ctx: wf.WorkflowContext) -> None:
        module.measured()
        module.own_data()

    def reads(ctx: wf.WorkflowContext) -> None:
        module.settings(path)

    assert_silent(measures, caplog)
    problem = guarded.refusal(reads)
    assert problem.call == f"some_library.settings(), which does open('{path}')"
    assert problem.function.endswith("reads")


def test_a_librarys_clock_or_id_is_refused(library: Callable[[str, str], Any]) -> None:
    """Libraries made for telling the time or making ids are known by name, once the program has imported them."""
    module = library("shortuuid", "import os\ndef uuid(): return os.urandom(4).hex()\n")

    def workflow(ctx: wf.WorkflowContext) -> Any:
        return module.uuid()

    problem = guarded.refusal(workflow)
    assert (problem.rule, problem.call) == ("TEN124", "shortuuid.uuid()")


def test_a_library_imported_after_the_start_is_known_as_well(library: Callable[[str, str], Any]) -> None:
    """The next execution knows it."""
    guard = guard_module.Guard(Mode.RAISE)
    module = library("nanoid", "import os\ndef generate(): return os.urandom(4).hex()\n")
    registry = registry_of(lambda ctx: module.generate())
    executor = Executor("i", "x", definitions=registry, payloads=Payloads(), watch=guard.watch("i"))
    outcome = executor.run([], [e.TurnStarted(1), e.ExecutionStarted("w", "i", "x")])
    assert isinstance(outcome.problem, wf.GuardViolation)
    assert outcome.problem.rule == "TEN124"


def test_an_installed_application_is_user_code(library: Callable[[str, str], Any]) -> None:
    """Workflows may come in a package: their own is not a library."""
    module = library("some_application", "import time\ndef workflow(ctx): return time.time()\n")
    assert guarded.refusal(module.workflow).rule == "TEN102"


def test_hash_and_id_are_warned_about_in_every_mode(caplog: pytest.LogCaptureFixture) -> None:
    """They may serve what leaves no trace, so they are said but not refused."""

    def workflow(ctx: wf.WorkflowContext) -> int:
        return hash("a") % 2 + id(ctx) % 2

    assert one_turn(workflow).problem is None
    told = [record.getMessage() for record in caplog.records if record.name == "tenuto.guard"]
    assert ["hash()" in told[0], "id()" in told[1], len(told)] == [True, True, 2]


def test_a_warning_is_given_once_per_line_and_the_turn_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """However often a history is replayed, one line of code is told of once."""

    def workflow(ctx: wf.WorkflowContext) -> int:
        return sum(time.time() > 0 and uuid.uuid4().int > 0 for _ in range(5))

    for _ in range(3):
        outcome = one_turn(workflow, Mode.WARN)
        assert outcome.problem is None
        assert outcome.is_finished
    told = [record.getMessage() for record in caplog.records if record.name == "tenuto.guard"]
    assert len(told) == 2  # The clock and the id, both on one line.
    assert "ctx.current_utc_datetime" in told[0]
    assert "the turn goes on" in told[0]


def test_off_installs_nothing() -> None:
    """With `off` there is no watch."""
    assert guard_module.Guard(Mode.OFF).watch("i") is None

    def workflow(ctx: wf.WorkflowContext) -> bool:
        return time.time() > 0 and sys.getprofile() is None

    assert one_turn(workflow, Mode.OFF).problem is None


@pytest.mark.parametrize(
    ("given", "variable", "mode"),
    [(None, None, Mode.WARN), (None, "raise", Mode.RAISE), ("off", "raise", Mode.OFF), (None, "", Mode.WARN)],
)
def test_the_mode_is_chosen_by_argument_then_variable(given: str | None, variable: str | None, mode: Mode) -> None:
    """The argument wins over TENUTO_GUARD, and that over the default."""
    assert guard_module.choose_mode(given, variable) is mode


def test_a_wrong_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it came from and what may stand there."""
    monkeypatch.setenv("TENUTO_GUARD", "loud")
    with pytest.raises(ValueError, match="TENUTO_GUARD is 'loud', but must be off, warn or raise"):
        wf.WorkflowRuntime()
