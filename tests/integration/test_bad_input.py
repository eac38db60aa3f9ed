"""Whatever is sent to an engine, it answers with what is wrong, where, and what to do, and goes on for all others."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

import tenuto as wf
from apps import SECONDS, Function, ended, result, run, served
from engines import EngineHere, make_settings
from tenuto import aio
from tenuto_proto.v1 import management_pb2 as pb
from tenuto_proto.v1 import worker_pb2 as wpb

Steps = Generator[Any, Any, Any]
Client = aio.WorkflowClient
Channel = Any  # grpc's annotations ask for what may be left out
PAYLOAD_LIMIT = 4_096
BIN = Path(sys.executable).parent


async def same(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    return value


async def grow(ctx: wf.WorkflowActivityContext, size: int) -> str:
    return "x" * size


def witness(ctx: wf.WorkflowContext, value: Any) -> Steps:
    """Proves that the engine still works."""
    return (yield ctx.call_activity(same, input=value))


def large(ctx: wf.WorkflowContext, what: str) -> Steps:
    """Exceeds the payload limit where it is told to."""
    big = "x" * (PAYLOAD_LIMIT + 1)
    match what:
        case "activity input":
            yield ctx.call_activity(same, input=big)
        case "activity result":
            yield ctx.call_activity(grow, input=PAYLOAD_LIMIT + 1)
        case "child input":
            yield ctx.call_child_workflow(witness, input=big)
        case "event":
            ctx.raise_event("other", "news", data=big)
        case "next input":
            ctx.continue_as_new(big)
        case "custom status":
            ctx.set_custom_status("x" * 70_000)
        case "result":
            return big
    yield ctx.create_timer(timedelta(milliseconds=1))


def call(ctx: wf.WorkflowContext, name: str) -> Steps:
    return (yield ctx.call_activity(name, input=1))


def adopt(ctx: wf.WorkflowContext, child_id: str) -> Steps:
    return (yield ctx.call_child_workflow(witness, input=1, instance_id=child_id))


def collect(ctx: wf.WorkflowContext, count: int) -> Steps:
    taken: list[Any] = []
    while len(taken) < count:
        taken.append((yield ctx.wait_for_external_event("item")))
    return taken


@pytest.fixture
async def engine() -> AsyncIterator[EngineHere]:
    async with EngineHere(make_settings(limits={"payload_bytes": PAYLOAD_LIMIT})) as engine:
        yield engine


@pytest.fixture
async def client(engine: EngineHere) -> AsyncIterator[Client]:
    """A client of an app; after the test the app still works."""
    workflows: list[Function] = [witness, large, call, adopt, collect]
    async with served(engine, workflows=workflows, activities=[same, grow]) as client:
        yield client
        assert await result(client, witness, "still here") == "still here"


@pytest.fixture
async def channel(engine: EngineHere) -> AsyncIterator[Channel]:
    """A bare connection, for what no client of ours would send."""
    async with grpc.aio.insecure_channel(engine.address) as channel:
        yield channel


async def refusal(channel: Channel, method: str, request: Any) -> tuple[str, str]:
    """Send a request that must be refused; the status and the text."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    path = f"/tenuto.v1.Management/{method}"
    call = channel.unary_stream(path)(data).read() if method == "GetHistory" else channel.unary_unary(path)(data)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details() or ""


# -- sizes ----------------------------------------------------------------------------------------------------------


async def test_payloads_of_clients(client: Client) -> None:
    """An input, an event or an output beyond the limit is refused with its size, the limit's name and the id."""
    big = "x" * PAYLOAD_LIMIT
    await client.schedule_new_workflow(collect, input=1, instance_id="open")
    limit = r"4,098 bytes, the limit payload_bytes is 4,096; store it elsewhere and pass a reference"
    with pytest.raises(wf.LimitExceeded, match=f"input of 'big'.*{limit}"):
        await client.schedule_new_workflow(witness, input=big, instance_id="big")
    with pytest.raises(wf.LimitExceeded, match=f"event 'item' for 'open'.*{limit}"):
        await client.raise_workflow_event("open", "item", data=big)
    with pytest.raises(wf.LimitExceeded, match=f"'open'.*{limit}"):
        await client.terminate_workflow("open", output=big)
    with pytest.raises(wf.LimitExceeded, match="reason given for 'open' has 5,000 bytes, the limit is 4,096"):
        await client.pause_workflow("open", reason="x" * 5_000)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("activity input", "input of activity 'same'"),
        ("activity result", "result of activity"),
        ("child input", "input of child workflow 'witness'"),
        ("event", "event 'news'"),
        ("next input", "input of the next execution"),
        ("result", "result"),
    ],
)
async def test_payloads_of_workflows(what: str, named: str, client: Client) -> None:
    """A workflow that exceeds the limit fails, and its failure names the payload, the limit and a way out."""
    state = await run(client, large, what, instance_id="large")
    assert state.failure_details is not None
    error = state.failure_details.cause or state.failure_details
    assert error.error_type == "LimitExceeded"
    assert named in error.message
    assert "the limit payload_bytes is 4,096" in error.message
    assert "store it elsewhere" in error.message


async def test_custom_status_limit(client: Client) -> None:
    """A custom status beyond its own limit fails the workflow by the limit's name."""
    state = await run(client, large, "custom status")
    assert state.failure_details is not None
    assert "custom_status_bytes is 65,536" in state.failure_details.message


# -- names and ids --------------------------------------------------------------------------------------------------

STRANGE = [
    "a|b",
    "a@b.c",
    "\"double\" and 'single'",
    "{curly}[square](round)<angle>",
    "with spaces  in it ",
    "../../etc/passwd",
    "%s%d%n%20",
    "*?",
    "-",
    "emoji 🦆 and ñandú",
    "x" * 1_024,
    "é" * 512,
]
REFUSED = [
    ("line\nbreak", "control character U+000A"),
    ("nul\0", "control character U+0000"),
    ("escape\x1b[31m", "control character U+001B"),
    ("next\x85line", "control character U+0085"),
    ("x" * 1_025, "1,025 bytes, the limit is 1,024"),
    ("é" * 513, "1,026 bytes, the limit is 1,024"),
]


@pytest.mark.parametrize("instance_id", STRANGE)
async def test_strange_ids_work(instance_id: str, client: Client) -> None:
    """Any printable id goes through start, event, child, list, history, state, rerun and purge."""
    await client.schedule_new_workflow(collect, input=1, instance_id=instance_id)
    await client.raise_workflow_event(instance_id, "item", data=instance_id)
    assert (await ended(client, instance_id)).result() == [instance_id]
    assert [state.instance_id async for state in client.iter_workflows(id_prefix=instance_id)] == [instance_id]
    assert len(await client.get_workflow_history(instance_id)) > 2
    assert (await client.get_workflow_records(instance_id)).records
    assert await client.purge_workflow(instance_id) == 1
    assert (await run(client, adopt, instance_id)).runtime_status.name == "COMPLETED"
    assert await client.purge_workflow(instance_id) == 1
    assert await client.get_workflow_state(instance_id) is None


@pytest.mark.parametrize("instance_id", STRANGE)
async def test_strange_ids_on_every_store(instance_id: str, on_store: EngineHere) -> None:
    """Every store keeps such an instance apart from all others, and leaves nothing of it after a purge."""
    async with served(on_store, workflows=[witness], activities=[same]) as client:
        await run(client, witness, 1, instance_id=instance_id)
        await run(client, witness, 2, instance_id=instance_id[:-1] + "~")
        state = await client.get_workflow_state(instance_id)
        assert state is not None
        assert state.result() == 1
        assert await client.purge_workflow(instance_id) == 1
        assert [each.result() async for each in client.iter_workflows(fetch_payloads=True)] == [2]


@pytest.mark.parametrize("instance_id", STRANGE)
async def test_strange_ids_on_the_command_line(instance_id: str, engine: EngineHere, client: Client) -> None:
    """The command line starts, shows and erases such an instance."""

    async def tenuto(*words: str) -> Any:
        environment = os.environ | {"TENUTO_ENGINE": engine.address}
        process = await asyncio.create_subprocess_exec(
            BIN / "tenuto", *words, env=environment, stdout=-1, stderr=-1, stdin=asyncio.subprocess.DEVNULL
        )
        said, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        return json.loads(said)

    await tenuto("workflow", "start", "witness", "--id", instance_id, "--input", "7", "--output", "json")
    await ended(client, instance_id)
    shown = await tenuto("workflow", "get", "--output", "json", "--", instance_id)
    assert shown["instance_id"] == instance_id
    await tenuto("workflow", "purge", "--output", "json", "--", instance_id)
    assert await client.get_workflow_state(instance_id) is None


@pytest.mark.parametrize(("instance_id", "why"), REFUSED)
async def test_refused_ids(instance_id: str, why: str, client: Client) -> None:
    """An id with control characters, or too long, is refused by every method, and the message says what is wrong."""
    methods: list[Callable[[], Any]] = [
        lambda: client.schedule_new_workflow(witness, input=1, instance_id=instance_id),
        lambda: client.get_workflow_state(instance_id),
        lambda: client.wait_for_workflow_completion(instance_id, timeout_in_seconds=1),
        lambda: client.raise_workflow_event(instance_id, "item"),
        lambda: client.pause_workflow(instance_id),
        lambda: client.resume_workflow(instance_id),
        lambda: client.terminate_workflow(instance_id),
        lambda: client.purge_workflow(instance_id),
        lambda: client.get_workflow_history(instance_id),
        lambda: client.get_workflow_records(instance_id),
        lambda: client.rerun_workflow_from_event(instance_id, 1),
    ]
    for method in methods:
        with pytest.raises(wf.InvalidRequest, match=why.replace("+", r"\+")):
            await method()
    state = await run(client, adopt, instance_id)
    assert state.failure_details is not None
    assert why in state.failure_details.message


async def test_lone_surrogates(client: Client) -> None:
    """An id that is no Unicode is refused before it is sent."""
    with pytest.raises(wf.InvalidRequest, match="surrogate"):
        await client.schedule_new_workflow(witness, input=1, instance_id="lone\ud800")


async def test_empty_ids(channel: Channel, client: Client) -> None:
    """An empty id is refused wherever an instance is meant."""
    requests = {
        "GetInstance": pb.GetInstanceRequest(),
        "WaitInstance": pb.WaitInstanceRequest(),
        "RaiseEvent": pb.RaiseEventRequest(name="item"),
        "SuspendInstance": pb.ControlRequest(),
        "ResumeInstance": pb.ControlRequest(),
        "TerminateInstance": pb.TerminateRequest(),
        "PurgeInstance": pb.PurgeRequest(),
        "RerunInstance": pb.RerunRequest(),
        "GetHistory": pb.GetHistoryRequest(),
        "GetState": pb.GetStateRequest(),
    }
    for method, request in requests.items():
        code, text = await refusal(channel, method, request)
        assert code == "INVALID_ARGUMENT", method
        assert "the instance id is empty; give 1 to 1,024 bytes" in text, method


async def test_unknown_names(engine: EngineHere, client: Client) -> None:
    """A workflow or activity that nobody has registered waits for a worker that has; it can be steered meanwhile."""
    await client.schedule_new_workflow("nobody_has_it", instance_id="unknown")
    await client.schedule_new_workflow(call, input="nobody_runs_it", instance_id="calls unknown")
    await client.wait_for_workflow_start("calls unknown", timeout_in_seconds=SECONDS)
    assert await result(client, witness, 1) == 1
    for name in ("unknown", "calls unknown"):
        await client.terminate_workflow(name)
        assert (await ended(client, name)).runtime_status.name == "TERMINATED"
        assert await client.purge_workflow(name) == 1


@pytest.mark.parametrize("name", ["", "line\nbreak", "x" * 513])
async def test_refused_names(name: str, channel: Channel, client: Client) -> None:
    """Names of workflows, events and activities have bounds; the message names the instance."""
    await client.schedule_new_workflow(collect, input=1, instance_id="open")
    code, text = await refusal(channel, "StartInstance", pb.StartInstanceRequest(name=name, instance_id="new"))
    assert (code, "workflow name" in text, "'new'" in text) == ("INVALID_ARGUMENT", True, True)
    code, text = await refusal(channel, "RaiseEvent", pb.RaiseEventRequest(name=name, instance_id="open"))
    assert (code, "event name" in text, "'open'" in text) == ("INVALID_ARGUMENT", True, True)
    if name:
        state = await run(client, call, name)
        assert state.failure_details is not None
        assert "activity name" in state.failure_details.message


def any_number(number: int) -> Any:
    """A number where the wire's types ask for one of theirs."""
    return number


# -- numbers and tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "request_", "named"),
    [
        ("ListInstances", pb.ListInstancesRequest(page_size=1_001), "page_size is 1001; give 1 to 1,000"),
        ("ListInstances", pb.ListInstancesRequest(page_token="nonsense!"), "page token"),
        ("ListInstances", pb.ListInstancesRequest(page_token="bm9uc2Vuc2U="), "page token"),
        ("ListInstances", pb.ListInstancesRequest(statuses=[any_number(99)]), "status"),
        ("ListInstances", pb.ListInstancesRequest(created_from_ms=-1), "created_from_ms"),
        ("ListInstances", pb.ListInstancesRequest(created_to_ms=-(1 << 63)), "created_to_ms"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", start_at_ms=-1), "start_at_ms"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", start_at_ms=(1 << 63) - 1), "start_at_ms"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", reuse_policy=any_number(77)), "reuse policy 77"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", version="a b\n"), "version"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", command_id="x" * 1_025), "command id"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", command_id="a\nb"), "command id"),
        ("StartInstance", pb.StartInstanceRequest(name="witness", trace_parent="x" * 10_000), "trace_parent"),
        ("RaiseEvent", pb.RaiseEventRequest(name="e", instance_id="x", command_id="a b\n"), "command id"),
    ],
)
async def test_numbers_and_tokens(method: str, request_: Any, named: str, channel: Channel, client: Client) -> None:
    """Numbers, tokens and words outside their range are refused by name."""
    code, text = await refusal(channel, method, request_)
    assert code in {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}, text
    assert named in text


async def test_waits_are_bounded(channel: Channel, client: Client) -> None:
    """A wait of no time answers at once with the state of now."""
    await client.schedule_new_workflow(collect, input=1, instance_id="open")
    request = pb.WaitInstanceRequest(instance_id="open", timeout_ms=0)
    answer = await channel.unary_unary("/tenuto.v1.Management/WaitInstance")(request.SerializeToString())
    assert pb.GetInstanceResponse.FromString(answer).found


async def test_repeated_commands(channel: Channel, client: Client) -> None:
    """The same command id has one effect, however often it comes."""
    start = pb.StartInstanceRequest(name="collect", input=b"2", instance_id="twice", command_id="start-1")
    event = pb.RaiseEventRequest(name="item", payload=b"1", instance_id="twice", command_id="event-1")
    answers = [await _send(channel, "StartInstance", start, pb.StartInstanceResponse) for _ in range(3)]
    assert [answer.existed for answer in answers] == [False, True, True]
    assert len({answer.execution_id for answer in answers}) == 1
    raised = [await _send(channel, "RaiseEvent", event, pb.CommandResponse) for _ in range(3)]
    assert [answer.duplicate for answer in raised] == [False, True, True]
    await client.raise_workflow_event("twice", "item", data=2)
    assert (await ended(client, "twice")).result() == [1, 2]


async def _send(channel: Channel, method: str, request: Any, answer: Any) -> Any:
    return answer.FromString(await channel.unary_unary(f"/tenuto.v1.Management/{method}")(request.SerializeToString()))


# -- the wire -------------------------------------------------------------------------------------------------------

METHODS = ["StartInstance", "GetInstance", "WaitInstance", "ListInstances", "RaiseEvent", "SuspendInstance"]
METHODS += ["ResumeInstance", "TerminateInstance", "PurgeInstance", "RerunInstance", "GetHistory", "GetState"]
GARBAGE = [b"\xff\xff\xff\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe", bytes(range(256))]


@pytest.mark.parametrize("method", METHODS)
async def test_malformed_requests(method: str, channel: Channel, client: Client) -> None:
    """Bytes that are no message are refused as such."""
    for data in GARBAGE:
        code, text = await refusal(channel, method, data)
        assert code in {"INVALID_ARGUMENT", "INTERNAL"}, (data, text)


def stream(channel: Channel) -> Any:
    return channel.stream_stream("/tenuto.v1.Worker/Work")()


async def test_malformed_streams(channel: Channel, client: Client) -> None:
    """A stream that begins with anything but a greeting is refused; one that turns to garbage is closed."""
    for first in (b"", b"\xff\xff", wpb.WorkerMessage(hello=wpb.Hello()).SerializeToString()):
        call = stream(channel)
        await call.write(first)
        assert await call.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL}
    call = stream(channel)
    await call.write(hello("garbler"))
    assert wpb.EngineMessage.FromString(await call.read()).HasField("welcome")
    await call.write(b"\xff\xff\xff")
    assert await call.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL}


def hello(worker_id: str, *workflows: str, activities: tuple[str, ...] = (), **fields: Any) -> bytes:
    return wpb.WorkerMessage(
        hello=wpb.Hello(worker_id=worker_id, workflows=workflows, activities=activities, **fields)
    ).SerializeToString()


def pack(*values: Any) -> bytes:
    return msgspec.msgpack.encode(list(values))


HOSTILE_ACTIONS = [
    b"\xff\xff",
    b"",
    pack(1, 2, 3),
    pack([99, 1]),
    pack([1]),
    pack([1, "not a number", "same"]),
    pack([1, -5, "same", None]),
    pack([1, 1 << 40, "same", None]),
    pack([2, 1, -1]),
    pack([2, 1, 1 << 62]),
]


@pytest.mark.parametrize("actions", HOSTILE_ACTIONS, ids=range(len(HOSTILE_ACTIONS)))
async def test_hostile_turns(actions: bytes, channel: Channel, client: Client) -> None:
    """A worker that answers a turn with nonsense harms that instance alone: it stalls or ends, and can be purged."""
    call = stream(channel)
    await call.write(hello("hostile", "only_hostile"))
    await call.read()
    await client.schedule_new_workflow("only_hostile", instance_id="victim")
    while True:
        state = await client.get_workflow_state("victim")
        assert state is not None
        # An empty list of actions is a fair answer: the workflow waits.
        if state.runtime_status.name in {"STALLED", "FAILED", "COMPLETED"} or state.history_length:
            break
        message = wpb.EngineMessage.FromString(await call.read())
        for turn in message.turns:
            answer = wpb.TurnResult(
                instance_id=turn.instance_id,
                execution_id=turn.execution_id,
                commit_id=turn.commit_id,
                actions=actions,
            )
            await call.write(wpb.WorkerMessage(turns=[answer]).SerializeToString())
        if (state := await client.get_workflow_state("victim")) and state.status_reason:
            break
    call.cancel()
    assert await client.purge_workflow("victim", force=True) == 1


async def test_hostile_answers(channel: Channel, client: Client) -> None:
    """Results under tokens that are none, of calls that never were, or that are others' are dropped."""
    call = stream(channel)
    await call.write(hello("hostile", running=["", "x", "1.1.1..", "9" * 5_000]))
    await call.read()
    tokens = ["", "x", "....", "1.1.1.no-execution.no-instance", "-1.-1.-1.a.b", "9" * 5_000, f"{'9' * 400}.1.1.a.b"]
    tokens += ["١.١.١.a.b", "1.1.1.a.line\nbreak"]
    for token in tokens:
        results = [wpb.ActivityResult(token=token, result=b"1"), wpb.ActivityResult(token=token, failure=b"\xff")]
        results += [wpb.ActivityResult(token=token, rejected=True), wpb.ActivityResult(token=token, failure=pack(1))]
        await call.write(wpb.WorkerMessage(activities=results).SerializeToString())
    turn = wpb.TurnResult(instance_id="no", execution_id="no", commit_id="no", outcome=any_number(77))
    await call.write(wpb.WorkerMessage(turns=[turn]).SerializeToString())
    acknowledged: set[str] = set()
    while "1.1.1.no-execution.no-instance" not in acknowledged:
        acknowledged |= set(wpb.EngineMessage.FromString(await call.read()).acknowledged)
    assert await result(client, witness, 1) == 1
    call.cancel()


async def test_hostile_failures(channel: Channel, client: Client) -> None:
    """A failure that cannot be decoded, or is endless, fails the call like any other."""
    call = stream(channel)
    await call.write(hello("hostile", activities=("only_hostile",)))
    await call.read()
    nested: Any = None
    for _ in range(50):
        nested = ["Error", "x" * 100, "", nested]
    for number, failure in enumerate([b"\xff\xff", pack(1, 2), msgspec.msgpack.encode(nested)]):
        await client.schedule_new_workflow(globals()["call"], input="only_hostile", instance_id=f"v{number}")
        items: list[Any] = []
        while not items:
            items = list(wpb.EngineMessage.FromString(await call.read()).activities)
        answer = wpb.ActivityResult(token=items[0].token, failure=failure)
        await call.write(wpb.WorkerMessage(activities=[answer]).SerializeToString())
        assert (await ended(client, f"v{number}")).runtime_status.name == "FAILED"
    call.cancel()


async def test_large_messages(client: Client, engine: EngineHere) -> None:
    """A message beyond gRPC's limit is refused by gRPC, and the connection goes on."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(engine.address, options=options) as channel:
        request = pb.RaiseEventRequest(instance_id="x", name="e", payload=b"x" * (65 << 20))
        code, _ = await refusal(channel, "RaiseEvent", request)
        assert code == "RESOURCE_EXHAUSTED"
        code, _ = await refusal(channel, "GetHistory", pb.GetHistoryRequest(instance_id="x"))
        assert code == "NOT_FOUND"
