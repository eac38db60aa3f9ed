"""The asynchronous client sends what the synchronous one sends, and repeats as it does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

import tenuto.client
from fake_management import FakeManagement, found, instance, serve
from tenuto import errors
from tenuto._replay import events
from tenuto.aio import WorkflowClient
from tenuto.client import WorkflowStatus
from tenuto_proto.v1 import management_pb2 as pb

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "the store does not answer")


@pytest.fixture
def fake() -> FakeManagement:
    return FakeManagement()


@pytest.fixture
async def client(fake: FakeManagement) -> AsyncIterator[WorkflowClient]:
    with serve(fake) as address:
        async with WorkflowClient(engine=address, retry_window=timedelta(seconds=5)) as made:
            yield made


def started(request: pb.StartInstanceRequest) -> pb.StartInstanceResponse:
    return pb.StartInstanceResponse(instance_id=request.instance_id, execution_id="e1")


def test_both_clients_offer_the_same_methods() -> None:
    """Every public method exists in both, with the same parameters (but for the default of the id reuse policy)."""

    def offered(client: type) -> dict[str, list[str]]:
        public = {name: member for name, member in vars(client).items() if not name.startswith("_")}
        return {name: list(inspect.signature(member).parameters) for name, member in public.items()}

    assert offered(WorkflowClient) == offered(tenuto.client.WorkflowClient)


async def test_a_repeat_is_the_same_command(fake: FakeManagement, client: WorkflowClient) -> None:
    """While the engine cannot answer, the same request with the same id is sent again."""
    broken = (grpc.StatusCode.INTERNAL, "Internal error from Core")  # grpc.aio's words for a broken connection
    fake.will("StartInstance", UNAVAILABLE, (grpc.StatusCode.CANCELLED, "stops"), broken, started)
    made = await client.schedule_new_workflow("w", input=1)
    assert {(one.command_id, one.instance_id) for one in fake.requests("StartInstance")} == {(made, made)}
    assert len(fake.requests("StartInstance")) == 4


async def test_outcomes_are_told_apart(fake: FakeManagement) -> None:
    """A command that may have reached the engine is unknown, one that reached nobody was not executed."""
    fake.will("RaiseEvent", UNAVAILABLE)
    with serve(fake) as address:
        async with WorkflowClient(engine=address, retry_window=timedelta(0)) as client:
            with pytest.raises(errors.OutcomeUnknown):
                await client.raise_workflow_event("i", "e")
    async with WorkflowClient(engine="127.0.0.1:1", retry_window=timedelta(0)) as client:
        with pytest.raises(errors.EngineUnavailable):
            await client.raise_workflow_event("i", "e")


async def test_waits_go_on_and_end(fake: FakeManagement, client: WorkflowClient) -> None:
    """A wait outlives slices and an engine that is away, and ends at the caller's timeout."""
    fake.will("WaitInstance", found(), UNAVAILABLE, found(status=pb.COMPLETED, output=b"1"))
    state = await client.wait_for_workflow_completion("order-7")
    assert state.result(int) == 1
    fake.will("WaitInstance", found(status=pb.PENDING))
    with pytest.raises(errors.WaitTimeout):
        await client.wait_for_workflow_start("order-7", timeout_in_seconds=0.05)
    fake.will("WaitInstance", pb.GetInstanceResponse(found=False))
    with pytest.raises(errors.InstanceNotFound):
        await client.wait_for_workflow_completion("order-7")


async def test_lists_histories_and_records(fake: FakeManagement, client: WorkflowClient) -> None:
    """Pages are followed, history pages joined, records and engine facts handed on."""
    first = pb.ListInstancesResponse(instances=[instance(instance_id="a")], next_page_token="t")
    fake.will("ListInstances", first, pb.ListInstancesResponse(instances=[instance(instance_id="b")]))
    listed = [state.instance_id async for state in client.iter_workflows(statuses=[WorkflowStatus.RUNNING])]
    assert listed == ["a", "b"]
    event = msgspec.msgpack.encode(events.TurnStarted(1))
    fake.will("GetHistory", [pb.HistoryPage(execution_id="e", events=[event]) for _ in range(2)])
    assert [item.turn for item in await client.get_workflow_history("i")] == [1, 2]
    records = [pb.Record(key="metadata", value=b"x", json="{}")]
    fake.will("GetState", pb.GetStateResponse(store_key="k", shard=3, records=records, truncated=True))
    found_records = await client.get_workflow_records("i")
    assert (found_records.store_key, found_records.shard, found_records.is_truncated) == ("k", 3, True)
    assert found_records.records[0].key == "metadata"
    fake.will("GetEngine", pb.GetEngineResponse(app="shop", durability="D2", shards=64))
    engine = await client.get_engine()
    assert (engine.app, engine.durability, engine.shards) == ("shop", "D2", 64)


async def test_commands_carry_their_arguments(fake: FakeManagement, client: WorkflowClient) -> None:
    """Suspend, resume, terminate, purge and rerun reach the engine, and give what it answers."""
    for method in ("SuspendInstance", "ResumeInstance", "TerminateInstance"):
        fake.will(method, pb.CommandResponse())
    fake.will("PurgeInstance", pb.PurgeResponse(deleted=3))
    fake.will("RerunInstance", pb.StartInstanceResponse(instance_id="again"))
    await client.pause_workflow("i")
    await client.resume_workflow("i")
    await client.terminate_workflow("i", recursive=False)
    assert await client.purge_workflow("i") == 3
    assert await client.rerun_workflow_from_event("i", 2) == "again"
    assert fake.requests("TerminateInstance")[0].recursive is False


async def test_a_changed_token_file_is_read_again(fake: FakeManagement, tmp_path: Path) -> None:
    """A refused token is replaced by the one the file holds now."""
    file = tmp_path / "token"
    file.write_text("old")
    fake.will("GetInstance", (grpc.StatusCode.UNAUTHENTICATED, "expired"), found())
    with serve(fake) as address:
        async with WorkflowClient(engine=address, token_file=str(file)) as client:
            file.write_text("new")
            assert await client.get_workflow_state("i") is not None
    assert fake.tokens == ["Bearer old", "Bearer new"]


async def test_many_calls_share_one_connection(fake: FakeManagement, client: WorkflowClient) -> None:
    """Calls of many tasks run at once, each with its own answer."""
    fake.will("StartInstance", started)
    made: list[Any] = await asyncio.gather(
        *(client.schedule_new_workflow("w", instance_id=f"i-{number}") for number in range(50))
    )
    assert made == [f"i-{number}" for number in range(50)]


async def test_a_closed_client_says_so() -> None:
    """Closing twice is fine; using it afterwards is an error that names the reason."""
    client = WorkflowClient(engine="127.0.0.1:1")
    await client.close()
    await client.close()
    with pytest.raises(errors.TenutoError, match="closed"):
        await client.get_workflow_state("i")
