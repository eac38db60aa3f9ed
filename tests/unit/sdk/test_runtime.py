"""The runtime's own promises: registering, names, lifecycle, addresses."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tenuto as wf
from fake_engine import FakeEngine
from tenuto._replay import events as e
from tenuto._replay.policy import RetryQuestion, next_delay_ms
from tenuto._transport.backoff import Backoff
from tenuto._transport.target import resolve_target
from tenuto._worker.registry import Registry
from tenuto._worker.threads import ThreadPool
from tenuto.workflow import workflow_name

NOWHERE = "127.0.0.1:1"


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    await engine.start()
    yield engine
    await engine.stop()


def test_decorators_leave_functions_as_they_are() -> None:
    """With and without arguments, the function can still be called directly, and knows its name."""
    runtime = wf.WorkflowRuntime(engine=NOWHERE)

    @runtime.workflow
    def plain(ctx: Any) -> int:
        return 1

    @runtime.workflow(name="named-workflow")
    def other(ctx: Any) -> int:
        return 2

    @runtime.activity
    def act(ctx: Any) -> int:
        return 3

    @runtime.activity(name="named-activity", start_to_close_timeout=timedelta(seconds=1))
    def acts(ctx: Any) -> int:
        return 4

    assert (plain(None), other(None), act(None), acts(None)) == (1, 2, 3, 4)
    assert [workflow_name(f) for f in (plain, other, act, acts)] == ["plain", "named-workflow", "act", "named-activity"]
    assert workflow_name("as-text") == "as-text"


def test_alternate_names_hold_for_registration_and_calls() -> None:
    """`alternate_name` names a function before it is registered, as in Dapr's SDK."""
    runtime = wf.WorkflowRuntime(engine=NOWHERE)

    @runtime.workflow
    @wf.alternate_name("renamed")
    def original(ctx: Any) -> None: ...

    assert workflow_name(original) == "renamed"
    with pytest.raises(wf.RegistrationError, match="already named 'renamed'"):
        runtime.register_workflow(original, name="again")


def test_names_are_unique() -> None:
    """A name taken is refused with what to do, also between versions of a workflow."""
    runtime = wf.WorkflowRuntime(engine=NOWHERE)
    runtime.register_workflow(lambda ctx: 1, name="w")
    runtime.register_activity(lambda ctx: 1, name="a")
    with pytest.raises(wf.RegistrationError, match="a workflow named 'w' is already registered"):
        runtime.register_workflow(lambda ctx: 2, name="w")
    with pytest.raises(wf.RegistrationError, match="an activity named 'a' is already registered"):
        runtime.register_activity(lambda ctx: 2, name="a")
    runtime.register_versioned_workflow(lambda ctx: 1, name="v", version_name="1", is_latest=True)
    with pytest.raises(wf.RegistrationError, match="has two latest versions, '1' and '2'"):
        runtime.register_versioned_workflow(lambda ctx: 1, name="v", version_name="2", is_latest=True)
    with pytest.raises(wf.RegistrationError, match="already registered as 1"):
        runtime.register_versioned_workflow(lambda ctx: 1, name="v", version_name="1", is_latest=False)


def test_async_generators_are_no_workflows() -> None:
    """The two forms cannot be mixed, and the error says how to choose."""

    async def both(ctx: Any) -> Any:
        yield 1

    with pytest.raises(wf.RegistrationError, match="is an async generator; use `await`"):
        wf.WorkflowRuntime(engine=NOWHERE).register_workflow(both)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_number_of_attempts": 0},
        {"backoff_coefficient": 0.5},
        {"jitter": 1.5},
        {"first_retry_interval": timedelta(seconds=-1)},
        {"retry_timeout": timedelta(0)},
    ],
    ids=str,
)
def test_retry_policies_refuse_what_makes_no_sense(bad: dict[str, Any]) -> None:
    """Each refusal names the parameter."""
    good: dict[str, Any] = {"first_retry_interval": timedelta(seconds=1), "max_number_of_attempts": 3}
    with pytest.raises(ValueError, match=next(iter(bad))):
        wf.RetryPolicy(**(good | bad))


def test_retry_policies_tell_what_they_were_given() -> None:
    """Dapr's property names give the values back."""
    policy = wf.RetryPolicy(
        first_retry_interval=timedelta(seconds=1),
        max_number_of_attempts=3,
        backoff_coefficient=None,
        max_retry_interval=timedelta(seconds=9),
        non_retryable_errors=[KeyError, "shop.OutOfStock"],
    )
    assert policy.first_retry_interval == timedelta(seconds=1)
    assert policy.max_number_of_attempts == 3
    assert policy.backoff_coefficient == 1.0
    assert policy.max_retry_interval == timedelta(seconds=9)
    assert policy.retry_timeout is None
    assert policy.wire.non_retryable == ["KeyError", "shop.OutOfStock"]


@pytest.mark.parametrize(
    ("attempt", "failure", "elapsed_ms", "delay"),
    [
        (1, e.Failure("E", ""), 0, 1000),
        (2, e.Failure("E", ""), 0, 2000),
        (3, e.Failure("E", ""), 0, 2500),
        (4, e.Failure("E", ""), 0, None),
        (1, e.Failure("E", "", non_retryable=True), 0, None),
        (1, e.Failure("a.b.Final", ""), 0, None),
        (1, e.Failure("E", "", bases=["a.b.Final"]), 0, None),
        (1, e.Failure("E", ""), 8999, 1000),
        (1, e.Failure("E", ""), 9000, None),
    ],
)
def test_retries_of_children_follow_the_policy(
    attempt: int, failure: e.Failure, elapsed_ms: int, delay: int | None
) -> None:
    """Growth, ceiling, attempts, total time and final errors, by class name or base."""
    policy = e.RetryPolicy(1000, 4, 2.0, 2500, 10_000, non_retryable=["Final"])
    assert next_delay_ms(policy, RetryQuestion(attempt, elapsed_ms, failure, "id")) == delay


def test_jitter_follows_from_the_identity() -> None:
    """The same call waits equally long each time, different calls differently."""
    policy = e.RetryPolicy(10_000, 3, jitter=0.5)
    delays = [next_delay_ms(policy, RetryQuestion(1, 0, e.Failure("E", ""), name)) for name in ("a", "a", "b")]
    assert delays[0] == delays[1] != delays[2]
    assert all(delay is not None and 5000 <= delay <= 10_000 for delay in delays)


def test_the_engine_is_found_by_argument_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments win over TENUTO_ENGINE, which wins over the default."""
    monkeypatch.delenv("TENUTO_ENGINE", raising=False)
    assert resolve_target() == "127.0.0.1:50001"
    monkeypatch.setenv("TENUTO_ENGINE", "unix:/run/tenuto.sock")
    assert resolve_target() == "unix:/run/tenuto.sock"
    assert resolve_target(engine="h:1") == "h:1"
    assert resolve_target(host="h") == "h:50001"
    assert resolve_target(port="7") == "127.0.0.1:7"
    with pytest.raises(ValueError, match="not both"):
        resolve_target(engine="h:1", port=2)


@pytest.mark.parametrize("address", ["h", "h:", ":1", "h:0", "h:65536", "h:x", "unix:", "http://h:1"])
def test_addresses_that_cannot_be_are_refused(address: str) -> None:
    """The error shows the address and the form."""
    with pytest.raises(ValueError, match="the engine address"):
        resolve_target(engine=address)


def test_pauses_grow_to_a_bound_and_begin_again() -> None:
    """With the largest draw each pause is the bound itself."""
    backoff = Backoff(draw=lambda: 1.0)
    assert [backoff.next_seconds() for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_seconds() == 0.1


def test_the_code_hash_follows_the_code_alone() -> None:
    """Names and code change it, the order of registration does not."""

    def one(ctx: Any) -> set[str]:
        return {"a", "b"} & {"b", "c"} if ctx in {"x", "y", "z"} else set()

    def two(ctx: Any) -> int:
        return 2

    def hash_of(*named: tuple[str, Any]) -> str:
        registry = Registry()
        for name, function in named:
            function.__dict__.clear()
            registry.add_workflow(function, name)
        return registry.combined_hash()

    assert hash_of(("a", one), ("b", two)) == hash_of(("b", two), ("a", one))
    assert hash_of(("a", one)) != hash_of(("a", two))
    assert hash_of(("a", one)) != hash_of(("b", one))


def test_threads_are_started_as_needed_up_to_their_number() -> None:
    """One job at a time needs one thread; results come back in batches."""
    import threading

    woken = threading.Semaphore(0)
    pool = ThreadPool(2, woken.release)
    names: list[str] = []
    for _ in range(3):
        pool.submit(lambda: threading.current_thread().name)
        assert woken.acquire(timeout=10)
        names += pool.take()
    barrier = threading.Barrier(2, timeout=10)
    pool.submit(barrier.wait)
    pool.submit(barrier.wait)
    taken: list[int] = []
    while len(taken) < 2:
        assert woken.acquire(timeout=10)
        taken += pool.take()
    pool.stop()
    assert len(set(names)) == 1
    assert sorted(taken) == [0, 1]


async def test_a_runtime_serves_once_at_a_time_and_again(engine: FakeEngine) -> None:
    """start() twice is refused, late registration too; after shutdown it may start again."""
    runtime = wf.WorkflowRuntime(engine=engine.address)
    runtime.register_workflow(lambda ctx: "served", name="w")
    for instance_id in ("first", "second"):
        await asyncio.to_thread(runtime.start)
        with pytest.raises(RuntimeError, match="already serves"):
            runtime.start()
        with pytest.raises(wf.RegistrationError, match="registered too late"):
            runtime.register_activity(print)
        assert await engine.run("w", instance_id=instance_id) == "served"
        await asyncio.to_thread(runtime.shutdown)
    await asyncio.to_thread(runtime.shutdown)


async def test_serve_runs_until_cancelled(engine: FakeEngine) -> None:
    """On the program's own loop, asynchronous activities share it."""
    loops: list[asyncio.AbstractEventLoop] = []
    runtime = wf.WorkflowRuntime(engine=engine.address)

    @runtime.activity
    async def note(ctx: wf.WorkflowActivityContext) -> None:
        loops.append(asyncio.get_running_loop())

    @runtime.workflow
    async def w(ctx: wf.WorkflowContext) -> None:
        await ctx.call_activity(note)

    serving = asyncio.create_task(runtime.serve())
    await engine.run("w")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert loops == [asyncio.get_running_loop()]


def test_an_engine_that_is_not_there_yet_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """start() returns after the ready timeout with one warning, and shutdown ends the search."""
    runtime = wf.WorkflowRuntime(engine=NOWHERE, worker_ready_timeout=0.05)
    runtime.start()
    assert not runtime.wait_for_worker_ready(0)
    runtime.shutdown()
    waiting = [record.message for record in caplog.records if "goes on looking" in record.message]
    assert waiting == [f"no engine at {NOWHERE} after 0.05 s; the worker goes on looking for one"]


def test_dapr_parameter_names_are_understood() -> None:
    """Code written for Dapr's SDK keeps its constructor."""
    records: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    handler = Handler()
    options = SimpleNamespace(log_level="INFO", log_handler=handler, log_formatter=logging.Formatter("-> %(message)s"))
    logger = logging.getLogger("tenuto")
    before = logger.level
    try:
        wf.WorkflowRuntime(
            "127.0.0.1",
            "1",
            options,
            maximum_concurrent_activity_work_items=1,
            maximum_concurrent_orchestration_work_items=2,
            maximum_thread_pool_workers=3,
            worker_ready_timeout=1.0,
        )
        logging.getLogger("tenuto.worker").info("hello")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert records == ["-> hello"]


@pytest.mark.parametrize("bad", [{"max_threads": 0}, {"max_sticky": -1}, {"slow_turn": timedelta(0)}], ids=str)
def test_bounds_are_checked_when_given(bad: dict[str, Any]) -> None:
    """A number out of range is refused by name."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        wf.WorkflowRuntime(engine=NOWHERE, **bad)


async def test_run_ends_at_sigterm_with_exit_code_zero(engine: FakeEngine, tmp_path: Path) -> None:
    """A container is stopped by SIGTERM: the worker drains and the process ends well."""
    program = tmp_path / "app.py"
    program.write_text(
        textwrap.dedent(
            """
            import tenuto as wf
            runtime = wf.WorkflowRuntime()
            runtime.register_workflow(lambda ctx: "from the process", name="w")
            runtime.run()
            print("ended")
            """
        )
    )
    environment = os.environ | {"TENUTO_ENGINE": engine.address}
    command = [sys.executable, str(program)]
    process = await asyncio.to_thread(subprocess.Popen, command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert await engine.run("w") == "from the process"
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(process.communicate, timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output) == (0, "ended\n")
    assert any(message.draining for message in engine.seen)
