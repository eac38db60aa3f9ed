"""Many management calls over one stream: each answered by itself, and none lost with another."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

import tenuto as wf
from apps import served
from engines import EngineHere
from tenuto import aio
from tenuto_proto.v1 import management_pb2 as pb


def waits(ctx: wf.WorkflowContext) -> Any:
    return (yield ctx.wait_for_external_event("go"))


async def _exchange(address: str, *calls: pb.CallItem) -> dict[int, pb.AnswerItem]:
    """Send calls in one batch, and read until all are answered."""
    answers: dict[int, pb.AnswerItem] = {}
    async with grpc.aio.insecure_channel(address) as channel:
        open_call: Any = channel.stream_stream(
            "/tenuto.v1.Management/Calls",
            request_serializer=pb.CallBatch.SerializeToString,
            response_deserializer=pb.AnswerBatch.FromString,
        )
        stream = open_call()
        await stream.write(pb.CallBatch(calls=calls))
        while len(answers) < len(calls):
            answers.update({one.id: one for one in (await stream.read()).answers})
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK
    return answers


async def test_each_call_of_a_batch_is_answered_by_itself(here: EngineHere) -> None:
    """A good call succeeds beside one of an unknown method, one that cannot be read, and one that is refused."""
    start = pb.StartInstanceRequest(name="w", instance_id="good", command_id="c1").SerializeToString()
    refused = pb.StartInstanceRequest(name="w", instance_id="line\nbreak").SerializeToString()
    answers = await _exchange(
        here.address,
        pb.CallItem(id=1, method="StartInstance", request=start),
        pb.CallItem(id=2, method="Explode", request=b""),
        pb.CallItem(id=3, method="StartInstance", request=b"\xff\xff\xff"),
        pb.CallItem(id=4, method="StartInstance", request=refused),
    )
    assert answers[1].code == 0
    assert pb.StartInstanceResponse.FromString(answers[1].response).instance_id == "good"
    assert answers[2].code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert "Explode" in answers[2].details
    assert answers[3].code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "StartInstance" in answers[3].details
    assert answers[4].code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "control character" in answers[4].details


async def test_a_waiting_call_holds_up_no_other(here: EngineHere) -> None:
    """A wait for an instance that runs on does not delay the calls behind it on the stream."""
    async with served(here, workflows=[waits]) as client:
        await client.schedule_new_workflow(waits, instance_id="w1")
        waiting = asyncio.ensure_future(client.wait_for_workflow_completion("w1", timeout_in_seconds=20))
        state = await client.get_workflow_state("w1")
        assert state is not None
        assert not waiting.done()
        await client.raise_workflow_event("w1", "go", data=7)
        assert (await waiting).serialized_output == "7"


async def test_closing_ends_open_calls_and_leaves_nothing_behind(here: EngineHere) -> None:
    """A call that is open when its client is closed fails at once, and the engine serves others on."""
    async with served(here, workflows=[waits]):
        client = aio.WorkflowClient(engine=here.address)
        await client.schedule_new_workflow(waits, instance_id="w2")
        waiting = asyncio.ensure_future(client.wait_for_workflow_completion("w2", timeout_in_seconds=20))
        await client.get_workflow_state("w2")
        await client.close()
        with pytest.raises(wf.TenutoError):
            await waiting
        async with aio.WorkflowClient(engine=here.address) as other:
            state = await other.get_workflow_state("w2")
            assert state is not None
            assert state.runtime_status is wf.WorkflowStatus.RUNNING


async def test_a_delayed_start_keeps_its_time_through_a_suspension(here: EngineHere) -> None:
    """Suspending and resuming an instance whose start_at lies ahead does not start it early."""
    start_at = datetime.now(UTC) + timedelta(seconds=2.5)
    async with served(here, workflows=[waits]) as client:
        await client.schedule_new_workflow(waits, instance_id="later", start_at=start_at)
        await client.pause_workflow("later")
        await client.resume_workflow("later")
        await client.raise_workflow_event("later", "go", data=1)
        state = await client.wait_for_workflow_completion("later", timeout_in_seconds=15)
        assert state.last_updated_at >= start_at - timedelta(milliseconds=50)
