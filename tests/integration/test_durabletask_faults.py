"""What goes wrong between an engine and Durable Task applications: late and repeated answers, streams that break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from clusters import on_memory, pods
from dialects import Peer
from engines import EngineHere, make_settings
from faulty import until
from tenuto_engine.edge.durabletask.dialects import DAPR, MICROSOFT, Dialect
from tenuto_engine.settings import Settings

RUNNING, COMPLETED, FAILED, SUSPENDED, STALLED = 0, 1, 3, 7, 8
BOTH = pytest.mark.parametrize("dialect", [DAPR, MICROSOFT], ids=lambda dialect: dialect.name)


def settings(**runtime: Any) -> Settings:
    return make_settings(listen_durabletask="127.0.0.1:0", runtime=runtime)


@pytest.fixture
async def engine() -> AsyncIterator[EngineHere]:
    """An engine that serves both dialects."""
    async with EngineHere(settings()) as made:
        yield made


def peer(engine: EngineHere, dialect: Dialect = DAPR) -> Peer:
    return Peer(engine.address if dialect is DAPR else engine.app.durabletask_address, dialect)


def text(value: str) -> StringValue:
    return StringValue(value=value)


# -- custom statuses


async def test_a_custom_status_is_that_of_the_instance_and_not_of_its_id(engine: EngineHere) -> None:
    """An instance that takes the id of one that ended shows the same custom status if it sets the same."""
    async with peer(engine) as app:
        work = await app.worker()
        for _ in range(2):
            await app.start("one")
            await app.answer(await work.next(), app.complete(), customStatus=text('"half"'))
            assert (await app.ended("one")).customStatus.value == '"half"'


async def test_a_custom_status_is_cleared_after_a_restart_too() -> None:
    """A worker that sets no custom status any more takes it away, also at an engine that did not see it set."""
    engine = EngineHere(settings())
    async with engine, peer(engine) as app:
        work = await app.worker()
        await app.start("one")
        await app.answer(await work.next(), app.schedule(1, "act"), customStatus=text('"half"'))
        await work.next()
        assert (await app.state("one")).customStatus.value == '"half"'
    async with engine, peer(engine) as app:
        work = await app.worker()
        await app.result(await work.next())
        await app.answer(await work.next(), app.complete())
        assert not (await app.ended("one")).HasField("customStatus")


# -- what clients ask for


async def test_a_filter_that_no_ended_instance_can_meet_purges_none(engine: EngineHere) -> None:
    """Instances that run are not purged, and asking for them does not mean those that have ended."""
    async with peer(engine, MICROSOFT) as app:
        work = await app.worker()
        await app.start("one")
        await app.answer(await work.next(), app.complete())
        await app.ended("one")
        pb = app.pb
        for statuses in ([RUNNING], [4]):
            wanted = pb.PurgeInstancesRequest(purgeInstanceFilter=pb.PurgeInstanceFilter(runtimeStatus=statuses))
            assert (await app.call("PurgeInstances", wanted)).deletedInstanceCount == 0
            listed = pb.ListInstanceIdsRequest(runtimeStatus=statuses)
            assert not (await app.call("ListInstanceIds", listed)).instanceIds
        canceled = pb.QueryInstancesRequest(query=pb.InstanceQuery(runtimeStatus=[4]))
        assert not (await app.call("QueryInstances", canceled)).orchestrationState
        assert (await app.state("one")).orchestrationStatus == COMPLETED


async def test_only_the_statuses_named_are_replaced(engine: EngineHere) -> None:
    """A start that may replace a running instance does not replace one that was terminated before."""
    async with peer(engine, MICROSOFT) as app:
        await app.start("one")
        await app.call("TerminateInstance", app.pb.TerminateRequest(instanceId="one"))
        policy = app.pb.OrchestrationIdReusePolicy(replaceableStatus=[RUNNING])
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await app.start("one", orchestrationIdReusePolicy=policy)
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_page_of_large_instances_fits_into_a_message(engine: EngineHere) -> None:
    """Payloads that were asked for make pages shorter: clients take messages of 4 MiB; nothing is left out."""
    async with peer(engine, MICROSOFT) as app:
        pb, found, token, largest = app.pb, set[str](), "", 0
        for number in range(30):
            await app.start(f"large-{number}", input=text("x" * 300_000))
        while True:
            query = pb.InstanceQuery(fetchInputsAndOutputs=True, maxInstanceCount=2**31 - 1)
            if token:
                query.continuationToken.value = token
            page = await app.call("QueryInstances", pb.QueryInstancesRequest(query=query))
            largest = max(largest, page.ByteSize())
            found |= {one.instanceId for one in page.orchestrationState}
            token = page.continuationToken.value
            if not token:
                break
        assert len(found) == 30
        assert largest < 4 << 20


async def test_a_history_of_large_events_is_streamed_in_messages_that_fit(engine: EngineHere) -> None:
    """Chunks are bounded in bytes: clients take messages of 4 MiB."""
    async with peer(engine, MICROSOFT) as app, Peer(engine.app.durabletask_address, MICROSOFT, largest=-1) as other:
        work = await other.worker()
        await app.start("one")
        events = 0
        for _ in range(20):
            event = app.pb.RaiseEventRequest(instanceId="one", name="go", input=text("x" * 300_000))
            await app.call("RaiseEvent", event)
        while events < 20:
            item = await work.next()
            events += sum(event.HasField("eventRaised") for event in item.orchestratorRequest.newEvents)
            await other.answer(item, *([app.complete()] if events == 20 else []))
        await app.ended("one")
        request = app.pb.StreamInstanceHistoryRequest(instanceId="one")
        chunks = [chunk async for chunk in app.stream("StreamInstanceHistory", request, app.pb.HistoryChunk)]
        assert max(chunk.ByteSize() for chunk in chunks) < 4 << 20
        assert [event.WhichOneof("eventType") for chunk in chunks for event in chunk.events].count("eventRaised") == 20


def _live(engine: EngineHere, instance_id: str) -> Any:
    return engine.app.engine.commands._live(instance_id)


# -- answers


async def test_a_part_of_an_answer_that_comes_twice_counts_once(engine: EngineHere) -> None:
    """SDKs that cut large answers repeat a call that got no answer."""
    async with peer(engine, MICROSOFT) as app:
        work = await app.worker()
        await app.start("one")
        item = await work.next()
        for chunk in (0, 0):
            part = {"isPartial": True, "chunkIndex": Int32Value(value=chunk)}
            await app.answer(item, app.schedule(1, "act"), **part)
        await app.answer(item, app.complete(), chunkIndex=Int32Value(value=1))
        await app.ended("one")
        request = app.pb.StreamInstanceHistoryRequest(instanceId="one")
        names = [
            event.WhichOneof("eventType")
            async for chunk in app.stream("StreamInstanceHistory", request, app.pb.HistoryChunk)
            for event in chunk.events
        ]
        assert names.count("taskScheduled") == 1


async def test_an_answer_to_a_turn_of_a_broken_stream_is_not_mixed_with_the_next(engine: EngineHere) -> None:
    """A turn given again has a token of its own: the rest of a former answer is no answer to it."""
    async with peer(engine, MICROSOFT) as app:
        work = await app.worker()
        await app.start("one")
        first = await work.next()
        await app.answer(first, app.schedule(1, "act"), isPartial=True, chunkIndex=Int32Value(value=0))
        await work.close()
        again = await app.worker()
        second = await again.next()
        assert second.completionToken != first.completionToken
        await app.answer(first, app.complete('"of the first"'), chunkIndex=Int32Value(value=1))
        await app.answer(second, app.complete('"of the second"'))
        assert (await app.ended("one")).output.value == '"of the second"'


async def test_an_answer_without_a_token_is_one_to_the_newest_turn() -> None:
    """A turn that nobody answered in time leaves nothing behind that takes the answers of those after it."""
    async with EngineHere(settings(turn_timeout_seconds=0.2)) as engine, peer(engine) as app:
        slow = await app.worker()
        await app.start("one")
        await slow.next()
        other = await app.worker()
        item = await other.next()
        await app.answer(item, app.complete(), completionToken="")
        assert (await app.ended("one")).orchestrationStatus == COMPLETED


async def test_a_worker_that_was_slow_once_gets_work_again() -> None:
    """Its late answer is dropped, for another worker has the turn; that it answers at all is what counts."""
    async with EngineHere(settings(turn_timeout_seconds=0.2)) as engine, peer(engine) as app:
        slow = await app.worker()
        await app.start("one")
        late = await slow.next()
        other = await app.worker()
        item = await other.next()
        await app.answer(late, app.complete('"late"'))
        await app.answer(item, app.complete('"in time"'))
        assert (await app.ended("one")).output.value == '"in time"'
        await other.close()
        await app.start("two")
        await app.answer(await slow.next(), app.complete())
        assert (await app.ended("two")).orchestrationStatus == COMPLETED


async def test_a_pause_outlives_a_restart() -> None:
    """A suspended instance stays so at the next engine, and gets what came meanwhile once it is resumed."""
    engine = EngineHere(settings())
    async with engine, peer(engine) as app:
        work = await app.worker()
        await app.start("one")
        await app.answer(await work.next())
        await app.call("SuspendInstance", app.pb.SuspendRequest(instanceId="one"))
        await app.call("SuspendInstance", app.pb.SuspendRequest(instanceId="one"))
    async with engine, peer(engine) as app:
        work = await app.worker()
        await app.call("RaiseEvent", app.pb.RaiseEventRequest(instanceId="one", name="go"))
        assert (await app.state("one")).orchestrationStatus == SUSPENDED
        await app.call("ResumeInstance", app.pb.ResumeRequest(instanceId="one"))
        events = (await work.next()).orchestratorRequest
        kinds = [event.WhichOneof("eventType") for event in [*events.pastEvents, *events.newEvents]]
        assert kinds.count("eventRaised") == 1
        assert not {"executionSuspended", "executionResumed"} & set(kinds)


async def test_an_activity_may_be_answered_after_a_restart_of_the_engine() -> None:
    """The work of minutes is not done twice because the engine was replaced meanwhile."""
    engine = EngineHere(settings())
    async with engine, peer(engine) as app:
        work = await app.worker()
        await app.start("one")
        await app.answer(await work.next(), app.schedule(1, "act"))
        task = await work.next()
    async with engine, peer(engine) as app:
        await app.result(task, result=text("7"))
        work = await app.worker()
        while (item := await work.next()).WhichOneof("request") == "activityRequest":
            pass  # given again before the answer came
        completed = item.orchestratorRequest.newEvents[-1].taskCompleted
        assert (completed.taskScheduledId, completed.result.value) == (1, "7")
        await app.answer(item, app.complete())
        await app.ended("one")


@pytest.mark.parametrize("token", ["", "nonsense", "1.2.3", "\x00"])
async def test_answers_that_nobody_waits_for_are_dropped(engine: EngineHere, token: str) -> None:
    """Unknown tokens and instances are answered OK, as SDKs expect, and change nothing."""
    async with peer(engine) as app:
        pb = app.pb
        await app.call("CompleteActivityTask", pb.ActivityResponse(instanceId="no", taskId=-1, completionToken=token))
        await app.call("CompleteOrchestratorTask", pb.OrchestratorResponse(instanceId="no", completionToken=token))


@BOTH
@pytest.mark.parametrize("package", ["", "durabletask.worker."])
async def test_who_has_not_registered_a_name_is_not_asked_again(
    engine: EngineHere, dialect: Dialect, package: str
) -> None:
    """Workers of different content: another one may have it, whether or not the SDK says where the error is from."""
    async with peer(engine, dialect) as app:
        one = await app.worker()
        await app.start("one")
        item = await one.next()
        other = await app.worker()
        await app.answer(item, app.fail(f"{package}OrchestratorNotRegisteredError"))
        await app.answer(await other.next(), app.schedule(1, "act"))
        details = app.pb.TaskFailureDetails(errorType=f"{package}ActivityNotRegisteredError", errorMessage="no")
        # Both are as busy: either may be given it first.
        asked = {asyncio.ensure_future(worker.next()): worker for worker in (one, other)}
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        given = done.pop()
        await app.result(given.result(), failureDetails=details)
        (left,) = [task for task in asked if task is not given]
        await app.result(await left, result=text("7"))
        await app.answer(await other.next(), app.complete())
        assert (await app.ended("one")).orchestrationStatus == COMPLETED


# -- versions and patches


async def test_another_worker_may_have_the_version(engine: EngineHere) -> None:
    """An instance whose version no worker had goes on when a worker connects, without a command."""
    async with peer(engine) as app:
        work = await app.worker()
        await app.start("one")
        missing = app.action(1, orchestratorVersionNotAvailable=app.pb.OrchestratorVersionNotAvailableAction())
        await app.answer(await work.next(), missing)
        await _in_status(app, "one", STALLED)
        newer = await app.worker()
        given = [asyncio.ensure_future(worker.next()) for worker in (work, newer)]
        done, _ = await asyncio.wait(given, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        await app.answer(done.pop().result(), app.complete())
        assert (await app.ended("one")).orchestrationStatus == COMPLETED
        for task in given:
            task.cancel()


async def test_a_patch_that_is_missing_stalls_until_a_worker_connects(engine: EngineHere) -> None:
    """The patches of a history must be the first ones of every answer; a suspended instance stays suspended."""
    async with peer(engine) as app:
        work = await app.worker()
        for name in ("one", "two"):
            await app.start(name)
            patched = app.pb.OrchestrationVersion(patches=["new"])
            await app.answer(await work.next(), app.schedule(1, "act"), version=patched)
            await app.result(await work.next())
            await app.answer(await work.next())
            await _in_status(app, name, STALLED)
        await app.call("SuspendInstance", app.pb.SuspendRequest(instanceId="two"))
        await work.close()
        work = await app.worker()
        item = await work.next()
        assert item.orchestratorRequest.instanceId == "one"
        await app.answer(item, app.complete(), version=app.pb.OrchestrationVersion(patches=["new", "newer"]))
        assert (await app.ended("one")).orchestrationStatus == COMPLETED
        assert (await app.state("two")).orchestrationStatus == SUSPENDED


async def test_a_turn_given_back_goes_to_another_worker(engine: EngineHere) -> None:
    """Workers that refuse another version's instances (Microsoft's REJECT) give them back: the others are asked."""
    async with peer(engine, MICROSOFT) as app:
        workers = [await app.worker() for _ in range(3)]
        await app.start("one")
        asked = {asyncio.ensure_future(worker.next()): worker for worker in workers}
        refused = set[Any]()
        for _ in range(2):
            done, _ = await asyncio.wait([t for t in asked if t not in refused], return_when=asyncio.FIRST_COMPLETED)
            (task,) = done
            refused.add(task)
            request = app.pb.AbandonOrchestrationTaskRequest(completionToken=task.result().completionToken)
            await app.call("AbandonTaskOrchestratorWorkItem", request)
        (last,) = [task for task in asked if task not in refused]
        await app.answer(await last, app.complete())
        assert (await app.ended("one")).orchestrationStatus == COMPLETED


async def _in_status(app: Peer, instance_id: str, status: int) -> None:
    async with asyncio.timeout(20):
        while (await app.state(instance_id)).orchestrationStatus != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_child_that_still_runs_is_in_the_way_of_a_rewind(engine: EngineHere) -> None:
    """The rewound parent hears that the child's id is taken, instead of waiting for a result that never comes."""
    async with peer(engine, MICROSOFT) as app:
        work = await app.worker()
        child = app.pb.CreateSubOrchestrationAction(instanceId="kid", name="flow")
        for name in ("one", "kid"):
            if name == "one":
                await app.start(name)
            item = await work.next()
            assert item.orchestratorRequest.instanceId == name
            await app.answer(item, *([app.action(1, createSubOrchestration=child)] if name == "one" else []))
        await app.call("RaiseEvent", app.pb.RaiseEventRequest(instanceId="one", name="go"))
        await app.answer(await work.next(), app.fail("ValueError", "no"))
        assert (await app.ended("one")).orchestrationStatus == FAILED
        await app.call("RewindInstance", app.pb.RewindInstanceRequest(instanceId="one"))
        item = await work.next()
        assert not any(
            event.HasField("subOrchestrationInstanceCreated") for event in item.orchestratorRequest.pastEvents
        )
        await app.answer(item, app.action(1, createSubOrchestration=child))
        told = (await work.next()).orchestratorRequest.newEvents[-1].subOrchestrationInstanceFailed
        assert told.failureDetails.errorType == "InstanceAlreadyExists"


async def test_tags_outlive_continue_as_new(engine: EngineHere) -> None:
    """The next execution has the tags of the one before."""
    async with peer(engine, MICROSOFT) as app:
        work = await app.worker()
        await app.start("one", tags={"team": "blue"})
        again = app.pb.CompleteOrchestrationAction(orchestrationStatus=2)
        for _ in range(2):
            await app.answer(await work.next(), app.action(1, completeOrchestration=again))
        await app.answer(await work.next(), app.complete())
        assert dict((await app.ended("one")).tags) == {"team": "blue"}


# -- engines that go


async def test_a_draining_engine_sends_its_workers_elsewhere() -> None:
    """The streams end at once where another engine is; what the workers have begun may be answered to either."""
    async with pods(on_memory(), 2, balance=False) as (first, second):
        engine = first.engine.app.engine
        await until(lambda: engine.describe().has_peers)
        async with peer(first.engine) as app, peer(second.engine) as other:
            work = await app.worker()
            await app.start("one")
            await app.answer(await work.next(), app.schedule(1, "early"), app.schedule(2, "late"))
            early, late = await work.next(), await work.next()
            elsewhere = await other.worker()
            drain = asyncio.create_task(engine.drain())
            assert await work.has_ended()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await (await app.worker()).next()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            await app.result(early)
            await other.result(late)
            completed = 0
            while completed < 2:
                item = await elsewhere.next()
                completed += sum(event.HasField("taskCompleted") for event in item.orchestratorRequest.newEvents)
                await other.answer(item, *([other.complete()] if completed == 2 else []))
            assert (await other.ended("one")).orchestrationStatus == COMPLETED
            async with asyncio.timeout(10):
                await drain


async def test_an_engine_that_drains_alone_learns_that_a_worker_has_gone(engine: EngineHere) -> None:
    """Without another engine the streams stay while activities run, so that nobody waits for those of the dead."""
    async with peer(engine) as app:
        work = await app.worker()
        await app.start("one")
        await app.answer(await work.next(), app.schedule(1, "act"))
        await work.next()
        drain = asyncio.create_task(engine.app.engine.drain())
        await until(lambda: not engine.app.engine.is_ready)
        await work.close()
        async with asyncio.timeout(10):
            await drain


async def test_an_item_too_large_for_its_worker_stalls_by_name(engine: EngineHere) -> None:
    """A stream that breaks twice over an item beyond 4 MiB is not broken again: the instance stalls and says why."""
    async with peer(engine, MICROSOFT) as app:
        work = await app.worker()
        await app.start("one")
        await app.answer(await work.next())
        for _ in range(5):
            event = app.pb.RaiseEventRequest(instanceId="one", name="go", input=text("x" * 1_000_000))
            await app.call("RaiseEvent", event)
        while True:
            # Such a client breaks the stream as it reads the item.
            try:
                item = await work.next()
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017
                work = await app.worker()
                live = _live(engine, "one")
                if live is not None and live.indexed == 7:
                    break
                continue
            await app.answer(item)
        reason = _live(engine, "one").state.reason
        assert "takes 4 MiB" in reason
