"""The worker over a real stream: turns, activities, stickiness, reconnection, draining."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import tenuto as wf
from fake_engine import FakeEngine
from tenuto._replay import events as e
from tenuto_proto.v1 import worker_pb2 as pb


@dataclass
class Order:
    item: str
    amount: int


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    await engine.start()
    yield engine
    await engine.stop()


def new_runtime(engine: FakeEngine, **settings: Any) -> wf.WorkflowRuntime:
    return wf.WorkflowRuntime(engine=engine.address, **settings)


async def connected(engine: FakeEngine, count: int = 1) -> None:
    await engine.wait_for(lambda: len(engine.hellos) >= count)


@pytest.mark.parametrize("is_sticky", [True, False], ids=["sticky", "replaying"])
@pytest.mark.parametrize("kind", ["generator", "coroutine"])
async def test_a_workflow_may_be_a_generator_or_a_coroutine(engine: FakeEngine, kind: str, is_sticky: bool) -> None:
    """Both forms give the same result, with live instances and without."""
    engine.is_sticky = is_sticky
    runtime = new_runtime(engine)

    @runtime.activity
    def price(ctx: wf.WorkflowActivityContext, order: Order) -> int:
        return order.amount * 3

    @runtime.activity
    async def describe(ctx: wf.WorkflowActivityContext, total: int) -> Order:
        return Order("described", total)

    def as_generator(ctx: wf.WorkflowContext, order: Order) -> Any:
        total: int = yield ctx.call_activity(price, input=order)
        described: Order = yield ctx.call_activity(describe, input=total)
        return described.amount

    async def as_coroutine(ctx: wf.WorkflowContext, order: Order) -> int:
        total = await ctx.call_activity(price, input=order)
        return (await ctx.call_activity(describe, input=total)).amount

    runtime.register_workflow(as_generator if kind == "generator" else as_coroutine, name="w")
    async with runtime:
        assert await engine.run("w", {"item": "tea", "amount": 2}) == 6


@pytest.mark.parametrize("is_sticky", [True, False], ids=["sticky", "replaying"])
async def test_every_operation_works_over_the_stream(engine: FakeEngine, is_sticky: bool) -> None:
    """Fan-out, timers, events, children, races and failures give the same results whether replayed or live."""
    engine.is_sticky = is_sticky
    runtime = new_runtime(engine)

    @runtime.activity
    def double(ctx: wf.WorkflowActivityContext, x: int) -> int:
        return 2 * x

    @runtime.activity(name="fails")
    def refuse(ctx: wf.WorkflowActivityContext) -> None:
        raise LookupError("no such thing") from ValueError("root")

    @runtime.workflow
    async def child(ctx: wf.WorkflowContext, x: int) -> int:
        return await ctx.call_activity(double, input=x)

    @runtime.workflow
    async def whole(ctx: wf.WorkflowContext) -> list[Any]:
        seen: list[Any] = [await wf.when_all([ctx.call_activity(double, input=i) for i in range(5)])]
        try:
            await ctx.call_activity(refuse)
        except wf.TaskFailedError as error:
            seen += [error.details.error_type, error.details.cause.message if error.details.cause else ""]
        try:
            await ctx.wait_for_external_event("never", timeout=timedelta(minutes=5))
        except TimeoutError:
            seen.append("timeout")
        seen.append(await ctx.call_child_workflow(child, input=21))
        ctx.raise_event(ctx.instance_id, "Ping", data={"n": 1})
        seen.append(await ctx.wait_for_external_event("pING"))
        winner = await wf.when_any([ctx.wait_for_external_event("other"), ctx.create_timer(timedelta(days=3))])
        seen.append(winner.get_result())
        ctx.set_custom_status("nearly")
        return seen

    async with runtime:
        result = await engine.run("whole")
    assert result == [[0, 2, 4, 6, 8], "LookupError", "root", "timeout", 42, {"n": 1}, None]
    assert engine.instances["i"].custom_status == b'"nearly"'


async def test_continue_as_new_begins_again_with_the_events_not_waited_for(engine: FakeEngine) -> None:
    """With save_events, what the former execution did not consume reaches the next one, in order."""
    runtime = new_runtime(engine)

    @runtime.workflow
    def collect(ctx: wf.WorkflowContext, seen: list[int]) -> Any:
        value = yield ctx.wait_for_external_event("number")
        if len(seen) == 3:
            return [*seen, value]
        ctx.continue_as_new([*seen, value], save_events=True)

    async with runtime:
        engine.begin("collect", [])
        for number in range(4):
            engine.send("i", e.EventRaised("number", b"%d" % number))
        assert await engine.result() == [0, 1, 2, 3]
    assert engine.instances["i"].executions == 4


async def test_a_worker_reports_what_it_runs(engine: FakeEngine) -> None:
    """The first message names workflows, activities and bounds."""
    runtime = new_runtime(engine, max_threads=2, max_activities=7, max_turns=9, max_sticky=11)
    runtime.register_workflow(lambda ctx: None, name="b")
    runtime.register_workflow(lambda ctx: 1, name="a")
    runtime.register_activity(lambda ctx: None, name="say")
    async with runtime:
        await connected(engine)
    hello = engine.hellos[0]
    assert (list(hello.workflows), list(hello.activities)) == (["a", "b"], ["say"])
    assert (hello.max_activities, hello.max_turns, hello.max_sticky) == (7, 9, 11)
    assert hello.code_hash
    assert hello.sdk.startswith("python/")


async def test_a_lost_engine_is_found_again_and_no_result_is_lost(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """An activity that ends while no engine is there runs once; its result arrives later; one line logs the outage."""
    caplog.set_level(logging.INFO, "tenuto.worker")
    began, may_end = threading.Event(), threading.Event()
    runs: list[str] = []
    runtime = new_runtime(engine)

    @runtime.activity
    def slow(ctx: wf.WorkflowActivityContext) -> str:
        runs.append(ctx.idempotency_key)
        began.set()
        may_end.wait(20)
        return "done"

    @runtime.workflow
    def w(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_activity(slow))

    async with runtime:
        engine.begin("w")
        await asyncio.to_thread(began.wait, 20)
        await engine.stop()
        may_end.set()
        await engine.start()
        assert await engine.result() == "done"
    assert runs == ["i/exec-i/1"]
    assert len(engine.hellos[1].running) == 1
    lines = [record.message for record in caplog.records]
    assert sum(line.startswith("connected to engine") for line in lines) == 2
    assert sum(line.startswith(f"lost the engine at {engine.address}") for line in lines) == 1
    assert not any(line.startswith("no engine at") for line in lines)


async def test_a_repeated_delivery_does_not_run_the_call_twice(engine: FakeEngine) -> None:
    """While a call runs or its result is unacknowledged, another delivery gets the same result."""
    engine.acknowledges = False
    runs: list[int] = []
    runtime = new_runtime(engine)

    @runtime.activity
    async def once(ctx: wf.WorkflowActivityContext) -> int:
        runs.append(ctx.attempt)
        return len(runs)

    def answers() -> list[pb.ActivityResult]:
        return [answer for message in engine.seen for answer in message.activities]

    async with runtime:
        await connected(engine)
        for token in ("first", "second"):
            item = pb.ActivityItem(token=token, instance_id="i", execution_id="x", event_id=1, name="once", attempt=1)
            engine.push(pb.EngineMessage(activities=[item]))
        await engine.wait_for(lambda: len(answers()) == 2)
        engine.push(pb.EngineMessage(acknowledged=["first", "second"]))
    assert [(answer.token, answer.result) for answer in answers()] == [("first", b"1"), ("second", b"1")]


async def test_unknown_names_are_answered_not_dropped(engine: FakeEngine) -> None:
    """An unregistered activity is handed back, an unregistered workflow named as such."""
    async with new_runtime(engine):
        await connected(engine)
        engine.push(pb.EngineMessage(activities=[pb.ActivityItem(token="t", name="nowhere")]))
        await engine.wait_for(lambda: any(m.activities for m in engine.seen))
        engine.begin("unknown")
        failure = await engine.failure()
    assert next(m.activities[0].rejected for m in engine.seen if m.activities)
    assert failure.message == "no workflow named 'unknown' is registered in this worker"


async def test_a_turn_that_cannot_be_decoded_harms_no_other(engine: FakeEngine) -> None:
    """Bytes of a newer engine fail that turn alone."""
    runtime = new_runtime(engine)
    runtime.register_workflow(lambda ctx: 7, name="w")
    async with runtime:
        await connected(engine)
        engine.begin("w", instance_id="bad")
        assert await engine.result("bad") == 7
        item = pb.TurnItem(instance_id="bad", commit_id="c9", full_history=True, new_events=[b"\x91\xcc\xfa"])
        engine.push(pb.EngineMessage(turns=[item]))
        await engine.wait_for(
            lambda: any(t.outcome == pb.TurnResult.FAILED for message in engine.seen for t in message.turns)
        )
        assert await engine.run("w", instance_id="good") == 7


async def test_a_live_instance_that_stands_elsewhere_is_rebuilt(engine: FakeEngine) -> None:
    """After Forget, or on another base commit, the worker asks for the full history and goes on from it."""
    runtime = new_runtime(engine)

    @runtime.workflow
    def w(ctx: wf.WorkflowContext) -> Any:
        first = yield ctx.wait_for_external_event("a")
        second = yield ctx.wait_for_external_event("a")
        return [first, second]

    async with runtime:
        engine.begin("w")
        engine.send("i", e.EventRaised("a", b"1"))
        await engine.wait_for(lambda: engine.instances["i"].commits == 2)
        engine.push(pb.EngineMessage(forget=[pb.Forget(instance_id="i")]))
        engine.send("i", e.EventRaised("a", b"2"))
        assert await engine.result() == [1, 2]
    outcomes = [turn.outcome for message in engine.seen for turn in message.turns]
    assert pb.TurnResult.NEED_HISTORY in outcomes


async def test_history_may_come_in_chunks(engine: FakeEngine) -> None:
    """A history cut over several items is replayed as one."""
    runtime = new_runtime(engine)

    @runtime.workflow
    def w(ctx: wf.WorkflowContext) -> Any:
        first = yield ctx.wait_for_external_event("a")
        second = yield ctx.wait_for_external_event("a")
        return [first, second]

    async with runtime:
        engine.begin("w")
        await engine.wait_for(lambda: engine.instances["i"].commits == 1)
        instance = engine.instances["i"]
        common: Any = {"instance_id": "i", "execution_id": "exec-i", "commit_id": "c2", "full_history": True}
        tail = [msgspec.msgpack.encode(x) for x in (e.TurnStarted(2_000_000), *[e.EventRaised("a", b"5")] * 2)]
        instance.in_turn = tail
        engine.push(pb.EngineMessage(turns=[pb.TurnItem(**common, more=True, history=instance.history[:1])]))
        engine.push(pb.EngineMessage(turns=[pb.TurnItem(**common, history=instance.history[1:], new_events=tail)]))
        assert await engine.result() == [5, 5]


async def test_shutdown_lets_running_activities_end_and_delivers_their_results(engine: FakeEngine) -> None:
    """Draining is announced, new items are handed back, and the result of a running one arrives before the end."""
    began, may_end = threading.Event(), threading.Event()
    runtime = new_runtime(engine)

    @runtime.activity
    def slow(ctx: wf.WorkflowActivityContext) -> str:
        began.set()
        may_end.wait(20)
        return "done"

    runtime.register_workflow(lambda ctx: None, name="w")
    await asyncio.to_thread(runtime.start)
    await connected(engine)
    item = pb.ActivityItem(token="t1", instance_id="i", execution_id="x", event_id=1, name="slow", attempt=1)
    engine.push(pb.EngineMessage(activities=[item]))
    await asyncio.to_thread(began.wait, 20)
    stopping = asyncio.create_task(asyncio.to_thread(runtime.shutdown))
    await engine.wait_for(lambda: any(message.draining for message in engine.seen))
    late = pb.ActivityItem(token="t2", instance_id="i", execution_id="x", event_id=2, name="slow", attempt=1)
    engine.push(pb.EngineMessage(activities=[late]))
    await engine.wait_for(lambda: any(a.rejected for message in engine.seen for a in message.activities))
    may_end.set()
    await stopping
    answers = {answer.token: answer for message in engine.seen for answer in message.activities}
    assert answers["t1"].result == b'"done"'
    assert answers["t2"].rejected


async def test_a_blocked_worker_says_where(engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    """A turn beyond `slow_turn` is logged with the stack of the code that blocks."""
    reported = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "blocks this worker" in record.getMessage():
                reported.set()

    handler = Handler()
    logging.getLogger("tenuto.worker").addHandler(handler)
    runtime = new_runtime(engine, slow_turn=timedelta(milliseconds=20))

    @runtime.workflow
    def stuck(ctx: wf.WorkflowContext) -> str:
        return "reported" if reported.wait(20) else "silent"

    try:
        await asyncio.to_thread(runtime.start)
        assert await engine.run("stuck") == "reported"
        await asyncio.to_thread(runtime.shutdown)
    finally:
        logging.getLogger("tenuto.worker").removeHandler(handler)
    assert "test_worker_stream.py" in caplog.text
    assert "reported.wait" in caplog.text


async def test_an_asynchronous_activity_ends_at_its_timeout(engine: FakeEngine) -> None:
    """A coroutine that outlives start-to-close is told why and cancelled, and answered as the engine would put it."""
    reasons = list[str]()
    runtime = new_runtime(engine)

    @runtime.activity
    async def endless(ctx: wf.WorkflowActivityContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reasons.append(ctx.cancellation_reason)
            raise

    item = pb.ActivityItem(token="t", name="endless", instance_id="i", attempt=2, start_to_close_ms=5)
    async with runtime:
        await connected(engine)
        engine.push(pb.EngineMessage(activities=[item]))
        await engine.wait_for(lambda: any(m.activities for m in engine.seen))
    failure = msgspec.msgpack.decode(next(m.activities[0].failure for m in engine.seen if m.activities), type=e.Failure)
    words = "attempt 2 of activity 'endless' of instance 'i' did not end within its start-to-close timeout of 5 ms"
    assert (failure.type, failure.message) == ("ActivityTimeout", words)
    assert reasons == [words]


async def test_an_overdue_activity_that_nobody_waits_for_answers_nothing(engine: FakeEngine) -> None:
    """Cancelled by the engine while it still cleans up after its own timeout, it ends in silence, and is gone."""
    cleaning, may_end = asyncio.Event(), asyncio.Event()
    runtime = new_runtime(engine)

    @runtime.activity
    async def slow_to_end(ctx: wf.WorkflowActivityContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cleaning.set()
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                assert ctx.cancellation_reason == "the workflow has ended"
                raise

    @runtime.activity
    async def quick(ctx: wf.WorkflowActivityContext) -> str:
        return "done"

    async with runtime:
        await connected(engine)
        slow = pb.ActivityItem(token="t", name="slow_to_end", instance_id="i", start_to_close_ms=5)
        engine.push(pb.EngineMessage(activities=[slow]))
        await asyncio.wait_for(cleaning.wait(), 20)
        engine.push(
            pb.EngineMessage(
                cancelled=[pb.Cancelled(token="t", reason="the workflow has ended")],
                activities=[pb.ActivityItem(token="q", name="quick", instance_id="j")],
            )
        )
        await engine.wait_for(lambda: any(m.activities for m in engine.seen))
    assert [answer.token for m in engine.seen for answer in m.activities] == ["q"]


async def test_a_result_beyond_the_engine_limit_fails_by_name(engine: FakeEngine) -> None:
    """The worker refuses to send what the engine would refuse to store, and says which limit."""
    engine.welcome.max_payload_bytes = 100
    runtime = new_runtime(engine)

    @runtime.activity
    def big(ctx: wf.WorkflowActivityContext) -> str:
        return "x" * 100

    @runtime.workflow
    def w(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(big)

    async with runtime:
        engine.begin("w")
        failure = await engine.failure()
    assert failure.cause is not None
    assert failure.cause.type == "LimitExceeded"
    assert "102 bytes, the limit payload_bytes is 100" in failure.cause.message


async def test_payloads_pass_through_the_codec(engine: FakeEngine) -> None:
    """With a codec, the engine sees nothing but what the codec made."""

    class Reversing:
        def encode(self, data: bytes) -> bytes:
            return b"~" + data[::-1]

        def decode(self, data: bytes) -> bytes:
            assert data.startswith(b"~")
            return data[:0:-1]

    runtime = new_runtime(engine, payload_codec=Reversing())

    @runtime.activity
    def echo(ctx: wf.WorkflowActivityContext, text: str) -> str:
        return text + "!"

    @runtime.workflow
    def w(ctx: wf.WorkflowContext, text: str) -> Any:
        return (yield ctx.call_activity(echo, input=text))

    async with runtime:
        engine.begin("w", b'~"olleh"')
        ending = await engine.instances["i"].outcome
    assert isinstance(ending, e.ExecutionCompleted)
    assert ending.result == b'~"!olleh"'
    assert engine.delivered[0].input == b'~"olleh"'
