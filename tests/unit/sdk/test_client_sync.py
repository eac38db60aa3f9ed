"""The synchronous client against a real server with prepared answers."""

from __future__ import annotations

import getpass
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from fake_management import FakeManagement, found, instance, serve
from tenuto import errors
from tenuto._replay import events
from tenuto.client import DaprWorkflowClient, WorkflowClient, WorkflowIdReusePolicy, WorkflowStatus
from tenuto_proto.v1 import management_pb2 as pb

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "the store does not answer")


@pytest.fixture
def fake() -> FakeManagement:
    return FakeManagement()


@pytest.fixture
def client(fake: FakeManagement) -> Iterator[WorkflowClient]:
    with serve(fake) as address, WorkflowClient(engine=address, retry_window=timedelta(seconds=5)) as made:
        yield made


def started(request: pb.StartInstanceRequest) -> pb.StartInstanceResponse:
    return pb.StartInstanceResponse(instance_id=request.instance_id, execution_id="e1")


def task_pipeline(ctx: Any, task: Any) -> Any:
    """A workflow function, to be named by itself."""


class TestCommands:
    def test_a_start_carries_name_input_id_and_moment(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """All arguments of a start reach the engine; a moment without time zone is UTC."""
        fake.will("StartInstance", started)
        made = client.schedule_new_workflow(
            task_pipeline, input={"a": 1}, instance_id="order-7", start_at=datetime(2030, 1, 1), version="v2"
        )
        request = fake.requests("StartInstance")[0]
        assert made == "order-7"
        assert (request.name, request.input, request.version) == ("task_pipeline", b'{"a":1}', "v2")
        assert request.start_at_ms == int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000)
        assert request.reuse_policy == pb.StartInstanceRequest.REJECT

    def test_no_input_is_absent_not_empty(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """None is no payload at all."""
        fake.will("StartInstance", started)
        client.schedule_new_workflow("task_pipeline")
        assert not fake.requests("StartInstance")[0].HasField("input")

    def test_every_command_has_an_id_of_its_own(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Two calls are two commands; without an instance id the client makes one, so that a repeat names it again."""
        fake.will("StartInstance", started)
        ids = {client.schedule_new_workflow("w") for _ in range(2)}
        assert len(ids) == len({request.command_id for request in fake.requests("StartInstance")}) == 2

    def test_a_repeat_is_the_same_command(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """While the engine cannot answer, the same request with the same id is sent again."""
        fake.will("StartInstance", UNAVAILABLE, UNAVAILABLE, started)
        made = client.schedule_new_workflow("w")
        requests = fake.requests("StartInstance")
        assert len(requests) == 3
        assert {(one.command_id, one.instance_id) for one in requests} == {(requests[0].command_id, made)}

    def test_a_lost_reply_has_one_effect(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """The engine executed the command and its answer was lost: the repeat carries the id it already knows."""
        executed: set[str] = set()

        def execute_and_lose(request: pb.RaiseEventRequest) -> Any:
            executed.add(request.command_id)
            return (grpc.StatusCode.CANCELLED, "the server stops")

        def answer(request: pb.RaiseEventRequest) -> pb.CommandResponse:
            return pb.CommandResponse(duplicate=request.command_id in executed)

        fake.will("RaiseEvent", execute_and_lose, answer)
        client.raise_workflow_event("order-7", "Approved", data=True)
        assert len(executed) == 1
        assert [one.command_id for one in fake.requests("RaiseEvent")] == [*executed, *executed]

    def test_an_unconfirmed_command_has_an_unknown_outcome(self, fake: FakeManagement) -> None:
        """After the window the caller learns that the command may have been executed, and for which instance."""
        fake.will("TerminateInstance", UNAVAILABLE)
        with (
            serve(fake) as address,
            WorkflowClient(engine=address, retry_window=timedelta(0)) as client,
            pytest.raises(errors.OutcomeUnknown, match="order-7") as caught,
        ):
            client.terminate_workflow("order-7")
        assert caught.value.instance_id == "order-7"

    def test_a_command_that_the_store_refused_was_not_executed(self, fake: FakeManagement) -> None:
        """A full store is told from a lost answer: nothing happened, and repeating is safe."""
        fake.will("TerminateInstance", (grpc.StatusCode.UNAVAILABLE, "not executed: the store is full"))
        with (
            serve(fake) as address,
            WorkflowClient(engine=address, retry_window=timedelta(0)) as client,
            pytest.raises(errors.EngineUnavailable, match=r"'order-7' was not executed.*the store is full"),
        ):
            client.terminate_workflow("order-7")

    def test_a_question_to_an_engine_without_its_store(self, fake: FakeManagement) -> None:
        """The error does not say that there is no engine, and passes on what the engine said."""
        fake.will("GetInstance", UNAVAILABLE)
        with (
            serve(fake) as address,
            WorkflowClient(engine=address, retry_window=timedelta(0)) as client,
            pytest.raises(
                errors.EngineUnavailable, match=r"could not answer GetInstance of 'order-7'.*does not answer"
            ),
        ):
            client.get_workflow_state("order-7")

    def test_a_command_that_reached_nobody_was_not_executed(self) -> None:
        """Where no connection was ever made, the error says that nothing happened."""
        with (
            WorkflowClient(engine="127.0.0.1:1", retry_window=timedelta(0)) as client,
            pytest.raises(errors.EngineUnavailable, match="was not executed"),
        ):
            client.schedule_new_workflow("w", instance_id="order-7")

    def test_control_commands_carry_their_arguments(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Suspend, resume, terminate, purge and rerun send what they were given."""
        for method in ("SuspendInstance", "ResumeInstance", "TerminateInstance"):
            fake.will(method, pb.CommandResponse())
        fake.will("PurgeInstance", pb.PurgeResponse(deleted=3))
        fake.will("RerunInstance", lambda request: pb.StartInstanceResponse(instance_id=request.new_instance_id))
        client.pause_workflow("i", reason="audit")
        client.resume_workflow("i")
        client.terminate_workflow("i", output=[1], recursive=False, reason="obsolete")
        deleted = client.purge_workflow("i", recursive=False, force=True, reason="privacy")
        again = client.rerun_workflow_from_event("i", 4, new_instance_id="i2", input=None, reason="repaired")
        assert fake.requests("SuspendInstance")[0].reason == "audit"
        terminate, purge, rerun = (fake.requests(f"{m}Instance")[0] for m in ("Terminate", "Purge", "Rerun"))
        assert (terminate.output, terminate.recursive, terminate.reason) == (b"[1]", False, "obsolete")
        assert (purge.recursive, purge.force, purge.reason, deleted) == (False, True, "privacy", 3)
        assert rerun.reason == "repaired"
        assert (rerun.event_id, rerun.override_input, rerun.HasField("input"), again) == (4, True, False, "i2")

    def test_control_commands_say_who_gives_them(self, fake: FakeManagement, monkeypatch: pytest.MonkeyPatch) -> None:
        """The program's word comes first, then TENUTO_REQUESTED_BY, then the user and host of the process."""
        fake.will("TerminateInstance", pb.CommandResponse())
        with serve(fake) as address:
            with WorkflowClient(engine=address, requested_by="ada") as client:
                client.terminate_workflow("i")
            monkeypatch.setenv("TENUTO_REQUESTED_BY", "deploy-bot")
            with WorkflowClient(engine=address) as client:
                client.terminate_workflow("i")
            monkeypatch.delenv("TENUTO_REQUESTED_BY")
            with WorkflowClient(engine=address) as client:
                client.terminate_workflow("i")
        said = [one.requested_by for one in fake.requests("TerminateInstance")]
        assert said == ["ada", "deploy-bot", f"{getpass.getuser()}@{socket.gethostname()}"]

    def test_a_rerun_keeps_the_recorded_input_unless_told(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Not giving an input differs from giving None."""
        fake.will("RerunInstance", pb.StartInstanceResponse(instance_id="x"))
        client.rerun_workflow_from_event("i", 4)
        assert fake.requests("RerunInstance")[0].override_input is False

    def test_the_dapr_client_reuses_ids_of_ended_instances(self, fake: FakeManagement) -> None:
        """`DaprWorkflowClient` takes host and port, and starts anew under the id of an ended instance, as Dapr does."""
        fake.will("StartInstance", started)
        with serve(fake) as address:
            host, _, port = address.rpartition(":")
            with DaprWorkflowClient(host, port) as client:
                client.schedule_new_workflow("w", instance_id="i")
                client.schedule_new_workflow("w", instance_id="i", reuse_id_policy=WorkflowIdReusePolicy.IGNORE)
        policies = [one.reuse_policy for one in fake.requests("StartInstance")]
        assert policies == [pb.StartInstanceRequest.REPLACE_TERMINAL, pb.StartInstanceRequest.IGNORE]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequest),
        (grpc.StatusCode.NOT_FOUND, errors.InstanceNotFound),
        (grpc.StatusCode.ALREADY_EXISTS, errors.InstanceExists),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.PreconditionFailed),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.LimitExceeded),
        (grpc.StatusCode.UNAUTHENTICATED, errors.AccessDenied),
        (grpc.StatusCode.UNIMPLEMENTED, errors.InvalidRequest),
        (grpc.StatusCode.INTERNAL, errors.OutcomeUnknown),
    ],
)
def test_refusals_are_errors_of_their_own(
    fake: FakeManagement, client: WorkflowClient, code: grpc.StatusCode, error: type[errors.RequestError]
) -> None:
    """Each status becomes its error, with the engine's words and the instance id; a refusal is not repeated."""
    fake.will("SuspendInstance", (code, "the words of the engine"))
    with pytest.raises(error) as caught:
        client.pause_workflow("order-7")
    assert caught.value.instance_id == "order-7"
    assert len(fake.requests("SuspendInstance")) == 1


def test_what_cannot_be_encoded_is_the_callers_mistake(client: WorkflowClient) -> None:
    """Text that has no UTF-8 form is refused before anything is sent."""
    with pytest.raises(errors.InvalidRequest):
        client.schedule_new_workflow("w", instance_id="\ud800")


class TestState:
    def test_a_missing_instance_is_none(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Asking for the state of an unknown instance is not an error."""
        fake.will("GetInstance", pb.GetInstanceResponse(found=False))
        assert client.get_workflow_state("nobody") is None

    def test_a_state_shows_what_the_engine_said(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Status, times and payloads are those of the answer; payloads are decoded when asked for."""
        answer = found(status=pb.COMPLETED, input=b'{"n":1}', output=b"[1,2]", completed_at_ms=1_760_000_002_000)
        fake.will("GetInstance", answer)
        state = client.get_workflow_state("order-7")
        assert state is not None
        assert state.runtime_status is WorkflowStatus.COMPLETED
        assert (state.input, state.output, state.serialized_output) == ({"n": 1}, [1, 2], "[1,2]")
        assert state.created_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
        assert state.result(list[int]) == [1, 2]
        assert json.loads(str(state))["runtime_status"] == "COMPLETED"
        assert "order-7" in repr(state)

    def test_a_failure_is_raised_with_its_causes(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """`result` of a failed instance raises, and the causes are there."""
        failure = events.Failure("shop.Declined", "no money", cause=events.Failure("OSError", "bank closed"))
        fake.will("GetInstance", found(status=pb.FAILED, failure=msgspec.msgpack.encode(failure)))
        state = client.get_workflow_state("order-7")
        assert state is not None
        with pytest.raises(errors.WorkflowFailed, match="no money") as caught:
            state.result()
        assert caught.value.instance_id == "order-7"
        assert caught.value.details.cause is not None
        assert caught.value.details.cause.message == "bank closed"

    def test_a_terminated_instance_has_no_result(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Termination is a failure to whoever wants the result, with its reason."""
        fake.will("GetInstance", found(status=pb.TERMINATED, status_reason="obsolete"))
        state = client.get_workflow_state("order-7")
        assert state is not None
        with pytest.raises(errors.WorkflowFailed, match="obsolete"):
            state.raise_if_failed()

    def test_a_running_instance_has_no_result_yet(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Asking too early is refused, and the error says what to do instead."""
        fake.will("GetInstance", found())
        state = client.get_workflow_state("order-7")
        assert state is not None
        with pytest.raises(errors.PreconditionFailed, match="wait_for_workflow_completion"):
            state.result()

    def test_all_pages_are_read(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """The iterator goes on until a page says that it is the last; filters are sent with each page."""
        first = pb.ListInstancesResponse(instances=[instance(instance_id="a")], next_page_token="t")
        second = pb.ListInstancesResponse(instances=[instance(instance_id="b")])
        fake.will("ListInstances", first, second)
        listed = client.iter_workflows(name="w", statuses=iter([WorkflowStatus.RUNNING]), page_size=1, id_prefix="o")
        assert [state.instance_id for state in listed] == ["a", "b"]
        requests = fake.requests("ListInstances")
        assert [(one.page_token, list(one.statuses), one.id_prefix) for one in requests] == [
            ("", [pb.RUNNING], "o"),
            ("t", [pb.RUNNING], "o"),
        ]


class TestWaits:
    def test_a_wait_goes_on_over_slices(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """An answer that the instance still runs is not the end of a wait, nor is an engine that is away."""
        fake.will("WaitInstance", found(), UNAVAILABLE, found(), found(status=pb.COMPLETED, output=b"1"))
        assert client.wait_for_workflow_completion("order-7").result(int) == 1
        assert len(fake.requests("WaitInstance")) == 4
        assert {one.timeout_ms for one in fake.requests("WaitInstance")} == {30_000}

    def test_a_wait_ends_at_its_timeout(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """The error is a TimeoutError, and says what was last seen."""
        fake.will("WaitInstance", found(status_reason="waiting_for: worker"))
        with pytest.raises(TimeoutError, match="waiting_for: worker"):
            client.wait_for_workflow_completion("order-7", timeout_in_seconds=0.05)

    def test_a_start_is_over_once_it_runs(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Waiting for the start ends with any status but pending."""
        fake.will("WaitInstance", found(status=pb.PENDING), found(status=pb.RUNNING))
        assert client.wait_for_workflow_start("order-7").runtime_status is WorkflowStatus.RUNNING
        assert fake.requests("WaitInstance")[0].condition == pb.WaitInstanceRequest.STARTED

    def test_waiting_for_nobody_is_an_error(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """An instance that does not exist never completes."""
        fake.will("WaitInstance", pb.GetInstanceResponse(found=False))
        with pytest.raises(errors.InstanceNotFound, match="nobody"):
            client.wait_for_workflow_completion("nobody")

    def test_a_wait_survives_a_restart_of_the_engine(self, fake: FakeManagement) -> None:
        """The engine goes away and comes back at the same address: the wait ends with the answer of the new one."""
        fake.will("WaitInstance", found(), (grpc.StatusCode.UNAVAILABLE, "going away"))
        back = FakeManagement()
        back.will("WaitInstance", found(status=pb.COMPLETED, output=b'"done"'))
        results: list[Any] = []
        with serve(fake) as address:
            client = WorkflowClient(engine=address, retry_window=timedelta(seconds=30))
            waiter = threading.Thread(
                target=lambda: results.append(client.wait_for_workflow_completion("order-7").output)
            )
            waiter.start()
        with serve(back, address):
            waiter.join()
        client.close()
        assert results == ["done"]


class TestHistory:
    def page(self, execution_id: str, first: int, *found: Any) -> pb.HistoryPage:
        encoded = [msgspec.msgpack.encode(event) for event in found]
        return pb.HistoryPage(execution_id=execution_id, first_index=first, events=encoded)

    def test_events_come_in_order_with_key_turn_and_time(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """Pages are joined; each event knows its record and its turn."""
        one = self.page("e1", 0, events.TurnStarted(1_760_000_000_000), events.ExecutionStarted("w", "i", "e1", b"1"))
        two = self.page("e1", 2, events.ActivityScheduled(1, "a", b"{}"), events.TurnStarted(1_760_000_001_000))
        fake.will("GetHistory", [one, two])
        history = client.get_workflow_history("i")
        assert [(item.key, item.turn, item.type) for item in history] == [
            ("history-000000", 1, "TurnStarted"),
            ("history-000001", 1, "ExecutionStarted"),
            ("history-000002", 1, "ActivityScheduled"),
            ("history-000003", 2, "TurnStarted"),
        ]
        assert history[2].event_id == 1
        assert history.started is not None
        assert history.to_json()["events"][1]["fields"]["input"] == "1"

    def test_an_unknown_event_is_kept(self, fake: FakeManagement, client: WorkflowClient) -> None:
        """An event of a newer engine does not hide the others."""
        page = pb.HistoryPage(execution_id="e1", events=[msgspec.msgpack.encode([77, "new"])])
        fake.will("GetHistory", [page])
        assert [item.type for item in client.get_workflow_history("i")] == ["UnknownEvent"]


class Zip:
    """A payload codec."""

    def encode(self, data: bytes) -> bytes:
        return zlib.compress(data)

    def decode(self, data: bytes) -> bytes:
        return zlib.decompress(data)


def test_a_codec_sees_every_payload(fake: FakeManagement) -> None:
    """What is sent is encoded, what is read is decoded: state and history alike."""
    fake.will("StartInstance", started)
    fake.will("GetInstance", found(input=zlib.compress(b'"plain"')))
    page = msgspec.msgpack.encode(events.EventRaised("e", zlib.compress(b'"plain"')))
    fake.will("GetHistory", [pb.HistoryPage(execution_id="e1", events=[page])])
    with serve(fake) as address, WorkflowClient(engine=address, payload_codec=Zip()) as client:
        client.schedule_new_workflow("w", input="plain")
        state = client.get_workflow_state("order-7")
        history = client.get_workflow_history("order-7")
    assert zlib.decompress(fake.requests("StartInstance")[0].input) == b'"plain"'
    assert state is not None
    assert state.input == "plain"
    assert history[0].to_json()["fields"]["payload"] == '"plain"'


class TestToken:
    def test_a_token_goes_with_every_request(self, fake: FakeManagement, monkeypatch: pytest.MonkeyPatch) -> None:
        """The environment's token is sent as a bearer token."""
        monkeypatch.setenv("TENUTO_TOKEN", "secret")
        fake.will("GetInstance", found())
        with serve(fake) as address, WorkflowClient(engine=address) as client:
            client.get_workflow_state("i")
        assert fake.tokens == ["Bearer secret"]

    def test_a_changed_token_file_is_read_again(self, fake: FakeManagement, tmp_path: Path) -> None:
        """A refused token is replaced by the one the file holds now, once, and the request repeated."""
        file = tmp_path / "token"
        file.write_text("old\n")
        fake.will("GetInstance", (grpc.StatusCode.UNAUTHENTICATED, "expired"), found())
        with serve(fake) as address, WorkflowClient(engine=address, token_file=str(file)) as client:
            file.write_text("new\n")
            assert client.get_workflow_state("i") is not None
        assert fake.tokens == ["Bearer old", "Bearer new"]


def test_a_closed_client_says_so(fake: FakeManagement) -> None:
    """Closing twice is fine; using it afterwards is an error that names the reason."""
    client = WorkflowClient(engine="127.0.0.1:1")
    client.close()
    client.close()
    with pytest.raises(errors.TenutoError, match="closed"):
        client.get_workflow_state("i")


def test_a_window_beyond_the_engines_memory_is_refused() -> None:
    """Repeating longer than the engine remembers could execute a command twice."""
    with pytest.raises(ValueError, match="retry_window"):
        WorkflowClient(retry_window=timedelta(minutes=3))
