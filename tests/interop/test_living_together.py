"""Workers of other SDKs beside ours, through tokens, and through an engine's death."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue

import tenuto as wf
from dialects import Peer
from environments import python_of
from interop.programs import HERE, Addresses, report, serving, value_of
from servers import NEWEST_REDIS, RedisServer
from tenuto.client import WorkflowClient
from tenuto_engine.edge.durabletask.dialects import MICROSOFT

SECONDS = 60
_STALLED = 8


def python() -> Path:
    """The interpreter with Dapr's newest SDK."""
    return python_of("requirements/interop/dapr119.txt")


@contextmanager
def dapr_worker(address: str, **environment: str) -> Iterator[None]:
    """A running worker of Dapr's SDK."""
    host, _, port = address.partition(":")
    with _serving([python(), HERE / "python" / "dapr_worker.py", host, port], **environment):
        yield


@contextmanager
def durabletask_worker(address: str, *options: str) -> Iterator[None]:
    """A running worker of Microsoft's SDK."""
    program = HERE / "python" / "durabletask_worker.py"
    with _serving([python_of("requirements/interop/durabletask.txt"), program, address, *options]):
        yield


@contextmanager
def _serving(command: list[str | Path], **environment: str) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TENUTO_", "DAPR_"))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=clean | environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"serving\n"
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def price_of(ctx: wf.WorkflowActivityContext, item: str) -> int:
    return len(item)


def test_a_workflow_calls_an_activity_of_another_sdk(both_dialects: Addresses) -> None:
    """A workflow in Dapr's SDK calls an activity that only a native worker has registered, and one of its own."""
    runtime = wf.WorkflowRuntime(engine=both_dialects.dapr)
    runtime.register_activity(price_of)
    with dapr_worker(both_dialects.dapr), runtime, WorkflowClient(engine=both_dialects.dapr) as client:
        instance_id = client.schedule_new_workflow("quote", input="bread")
        assert client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS).result() == 10


def test_microsofts_sdk_calls_an_activity_of_another_sdk(both_dialects: Addresses) -> None:
    """The same for Microsoft's SDK: what it says of an unknown activity sends the call to the native worker."""
    runtime = wf.WorkflowRuntime(engine=both_dialects.dapr)
    runtime.register_activity(price_of)
    with durabletask_worker(both_dialects.microsoft), WorkflowClient(engine=both_dialects.dapr) as client:
        # Begun before the native worker is there, so that the SDK is asked first.
        instance_id = client.schedule_new_workflow("asked")
        client.wait_for_workflow_start(instance_id, timeout_in_seconds=SECONDS)
        with runtime:
            quotes = [client.schedule_new_workflow("quote", input="bread") for _ in range(5)]
            for quote in quotes:
                assert client.wait_for_workflow_completion(quote, timeout_in_seconds=SECONDS).result() == 5


@pytest.mark.timeout(180)
async def test_instances_of_two_versions_find_their_workers() -> None:
    """Workers that give other versions' instances back: each instance reaches its own, also where that comes late."""
    with serving() as addresses, durabletask_worker(addresses.microsoft, "1.0"):
        async with Peer(addresses.microsoft, MICROSOFT) as app, Peer(addresses.dapr) as other:
            await app.start("early", "which", version=StringValue(value="2.0"))
            async with asyncio.timeout(SECONDS):
                while (await other.state("early")).orchestrationStatus != _STALLED:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            with durabletask_worker(addresses.microsoft, "2.0"):
                assert (await app.ended("early")).output.value == '"2.0"'
                for number, version in enumerate(["1.0", "2.0"] * 5):
                    await app.start(f"late-{number}", "which", version=StringValue(value=version))
                    assert (await app.ended(f"late-{number}")).output.value == f'"{version}"'


@pytest.mark.timeout(180)
def test_instances_outlive_the_engine(tmp_path: Path) -> None:
    """The engine is killed under a running Dapr application: it comes back, the worker too, and nothing is lost."""
    with (
        serving(store=f"sqlite:///{tmp_path}/state.db") as addresses,
        dapr_worker(addresses.dapr),
        WorkflowClient(engine=addresses.dapr) as client,
    ):
        client.schedule_new_workflow("survivor", instance_id="one")
        client.raise_workflow_event("one", "go", data=4)
        addresses.engine.kill()
        addresses.engine.start()
        client.raise_workflow_event("one", "go", data="again")
        assert client.wait_for_workflow_completion("one", timeout_in_seconds=SECONDS).result() == [8, "again"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("family", ["dapr", "microsoft"])
def test_applications_outlive_a_restart_in_order(tmp_path: Path, family: str) -> None:
    """An engine that drains ends its workers' streams; they come back to the next one by themselves."""
    with serving(store=f"sqlite:///{tmp_path}/state.db") as addresses:
        serve = dapr_worker(addresses.dapr) if family == "dapr" else durabletask_worker(addresses.microsoft)
        with serve, WorkflowClient(engine=addresses.dapr) as client:
            client.schedule_new_workflow("asked", instance_id="one")
            client.wait_for_workflow_start("one", timeout_in_seconds=SECONDS)
            addresses.engine.stop()
            addresses.engine.start()
            client.raise_workflow_event("one", "go", data=4)
            assert client.wait_for_workflow_completion("one", timeout_in_seconds=SECONDS).result() == 4


def test_the_token_of_dapr_is_enough(tmp_path: Path) -> None:
    """An engine that asks for a token serves a Dapr application that has it in DAPR_API_TOKEN."""
    token = tmp_path / "token"
    token.write_text("secret")
    with serving("--token-file", str(token)) as addresses:
        host, _, port = addresses.dapr.partition(":")
        command: list[str | Path] = [python(), HERE / "python" / "dapr_features.py", host, port, "chain"]
        assert value_of(report(command, DAPR_API_TOKEN="secret"), "chain") == ["COMPLETED", 8]
        refused = report(command, DAPR_API_TOKEN="another")["chain"]
        assert "UNAUTHENTICATED" in refused["error"]


def test_workers_that_give_themselves_away_may_use_either_listener(both_dialects: Addresses) -> None:
    """Dapr 1.19 at Microsoft's listener, and Microsoft's SDK with filters at Dapr's, are served in their dialect."""
    host, _, port = both_dialects.microsoft.partition(":")
    dapr: list[str | Path] = [python(), HERE / "python" / "dapr_features.py", host, port, "fan_out", "events"]
    found = report(dapr)
    assert (value_of(found, "fan_out"), value_of(found, "events")) == (["COMPLETED", 2450], [{"n": 1}, {"n": 2}])
    durabletask = python_of("requirements/interop/durabletask.txt")
    program = HERE / "python" / "durabletask_features.py"
    found = report([durabletask, program, both_dialects.dapr, "retried", "sent"])
    assert (value_of(found, "retried"), value_of(found, "sent")) == (["COMPLETED", 3], ["COMPLETED", [1, 2]])


def test_dapr_finds_the_engine_by_its_own_variables(both_dialects: Addresses) -> None:
    """Without host and port, DAPR_GRPC_PORT or DAPR_GRPC_ENDPOINT say where the engine is."""
    host, _, port = both_dialects.dapr.partition(":")
    command: list[str | Path] = [python(), HERE / "python" / "dapr_features.py", "-", "-", "chain"]
    for variables in ({"DAPR_GRPC_PORT": port}, {"DAPR_GRPC_ENDPOINT": f"http://{host}:{port}"}):
        assert value_of(report(command, **variables), "chain") == ["COMPLETED", 8]


@pytest.mark.timeout(180)
def test_another_engine_takes_over(tmp_path: Path) -> None:
    """Two engines on one Redis, a Dapr worker at each: one engine is killed, and its instances go on at the other."""
    redis = RedisServer(tmp_path, release=NEWEST_REDIS)
    redis.start()
    options = ("--lease-seconds", "2", "--app", "together")
    with (
        closing_server(redis),
        serving(*options, store=redis.url) as first,
        serving(*options, store=redis.url) as second,
        dapr_worker(first.dapr),
        dapr_worker(second.dapr),
        WorkflowClient(engine=second.dapr) as client,
    ):
        ids = [client.schedule_new_workflow("survivor") for _ in range(20)]
        for instance_id in ids:
            client.raise_workflow_event(instance_id, "go", data=4)
        first.engine.kill()
        for instance_id in ids:
            client.raise_workflow_event(instance_id, "go", data="on")
        for instance_id in ids:
            assert client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS).result() == [8, "on"]


@contextmanager
def closing_server(server: RedisServer) -> Iterator[None]:
    try:
        yield
    finally:
        server.stop()
