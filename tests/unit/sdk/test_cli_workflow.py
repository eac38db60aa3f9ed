"""`tenuto` against a real server with prepared answers: output, arguments and exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
import typer

from fake_management import FakeManagement, found, instance, serve
from tenuto._cli.arguments import parse_duration, parse_moment
from tenuto._cli.exits import Exit
from tenuto._cli.main import hoist, main
from tenuto._replay import events
from tenuto_proto.v1 import management_pb2 as pb

Run = Callable[..., int]


@pytest.fixture
def fake() -> FakeManagement:
    return FakeManagement()


@pytest.fixture
def run(fake: FakeManagement, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs the command line against the fake engine and gives its exit code."""
    with serve(fake) as address:
        monkeypatch.setenv("TENUTO_ENGINE", address)

        def call(*words: str) -> int:
            with pytest.raises(SystemExit) as ended:
                main(words)
            return int(ended.value.code or 0)

        yield call


def started(request: pb.StartInstanceRequest) -> pb.StartInstanceResponse:
    return pb.StartInstanceResponse(instance_id=request.instance_id, execution_id="e1")


class TestStart:
    def test_the_id_alone_is_printed(self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        """A script can take the id from standard output as it is."""
        fake.will("StartInstance", started)
        assert run("workflow", "start", "task_pipeline", "--id", "order-7", "--input", '{"a": 1}') == Exit.OK
        assert capsys.readouterr().out == "order-7\n"
        request = fake.requests("StartInstance")[0]
        assert (request.name, request.input) == ("task_pipeline", b'{"a":1}')

    def test_input_may_come_from_a_file_or_standard_input(
        self, fake: FakeManagement, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`--input-file F` reads a file, `-` standard input."""
        fake.will("StartInstance", started)
        (tmp_path / "input.json").write_text("[1]")
        assert run("workflow", "start", "w", "--input-file", str(tmp_path / "input.json")) == Exit.OK
        monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
        assert run("workflow", "start", "w", "--input-file", "-") == Exit.OK
        assert [one.input for one in fake.requests("StartInstance")] == [b"[1]", b"[2]"]

    @pytest.mark.parametrize("words", [["--input", "{"], ["--input", "1", "--input-file", "x"], ["--at", "soon"]])
    def test_wrong_arguments_reach_nobody(self, fake: FakeManagement, run: Run, words: list[str]) -> None:
        """What is wrong in itself ends with code 2, before anything is sent."""
        assert run("workflow", "start", "w", *words) == Exit.USAGE
        assert fake.seen == []

    def test_a_start_may_wait(self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        """With --wait the end decides the exit code."""
        fake.will("StartInstance", started)
        fake.will("WaitInstance", found(status=pb.COMPLETED, output=b'"fine"'))
        assert run("workflow", "start", "w", "--wait") == Exit.OK
        assert '"fine"' in capsys.readouterr().out


class TestExitCodes:
    @pytest.mark.parametrize(
        ("code", "ended"),
        [
            (grpc.StatusCode.INVALID_ARGUMENT, Exit.USAGE),
            (grpc.StatusCode.NOT_FOUND, Exit.NOT_FOUND),
            (grpc.StatusCode.ALREADY_EXISTS, Exit.REFUSED),
            (grpc.StatusCode.FAILED_PRECONDITION, Exit.REFUSED),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, Exit.REFUSED),
            (grpc.StatusCode.UNAUTHENTICATED, Exit.UNAVAILABLE),
            (grpc.StatusCode.INTERNAL, Exit.UNAVAILABLE),
        ],
    )
    def test_refusals_have_codes(
        self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str], code: grpc.StatusCode, ended: Exit
    ) -> None:
        """Each kind of refusal has its exit code, and the engine's words go to standard error."""
        fake.will("StartInstance", (code, "the words of the engine"))
        assert run("workflow", "start", "w") == ended
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "the words of the engine" in captured.err

    def test_nobody_is_not_found(self, fake: FakeManagement, run: Run) -> None:
        """Asking for an unknown instance ends with code 3."""
        fake.will("GetInstance", pb.GetInstanceResponse(found=False))
        fake.will("WaitInstance", pb.GetInstanceResponse(found=False))
        assert run("workflow", "get", "nobody") == Exit.NOT_FOUND
        assert run("workflow", "wait", "nobody") == Exit.NOT_FOUND

    @pytest.mark.parametrize(
        ("status", "ended"), [(pb.COMPLETED, Exit.OK), (pb.FAILED, Exit.FAILED), (pb.TERMINATED, Exit.FAILED)]
    )
    def test_the_end_of_a_workflow_is_an_exit_code(
        self, fake: FakeManagement, run: Run, status: pb.Status, ended: Exit
    ) -> None:
        """`wait` and `get --exit-code` tell success from failure; plain `get` does not."""
        failure = msgspec.msgpack.encode(events.Failure("E", "broken", stack="  line 1"))
        answer = found(status=status, failure=failure if status == pb.FAILED else b"")
        fake.will("WaitInstance", answer)
        fake.will("GetInstance", answer)
        assert run("workflow", "wait", "order-7") == ended
        assert run("workflow", "get", "order-7", "--exit-code") == ended
        assert run("workflow", "get", "order-7") == Exit.OK

    def test_a_timeout_has_a_code(self, fake: FakeManagement, run: Run) -> None:
        """A wait that ends at its timeout ends with code 6; a timeout of nothing is refused."""
        fake.will("WaitInstance", found())
        assert run("workflow", "wait", "order-7", "--timeout", "0.01s") == Exit.TIMEOUT
        assert run("workflow", "wait", "order-7", "--timeout", "0s") == Exit.USAGE


class TestOutput:
    def test_json_anywhere_on_the_line(
        self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`--output json` before or after the command gives one JSON document."""
        fake.will("GetInstance", found(status=pb.COMPLETED, output=b"[1]"))
        assert run("--output", "json", "workflow", "get", "order-7") == Exit.OK
        first = json.loads(capsys.readouterr().out)
        assert run("workflow", "get", "order-7", "--output=json") == Exit.OK
        assert json.loads(capsys.readouterr().out) == first
        assert (first["runtime_status"], first["serialized_output"]) == ("COMPLETED", "[1]")

    def test_lists_follow_pages(self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        """One page says how to go on; --all reads all of them; filters are sent."""
        first = pb.ListInstancesResponse(instances=[instance(instance_id="a")], next_page_token="t-1")
        last = pb.ListInstancesResponse(instances=[instance(instance_id="b", status=pb.FAILED)])
        fake.will("ListInstances", first)
        assert run("workflow", "list", "--status", "Running", "--since", "1h", "--name", "w") == Exit.OK
        captured = capsys.readouterr()
        assert "RUNNING" in captured.out
        assert "--page-token t-1" in captured.err
        request = fake.requests("ListInstances")[0]
        assert (list(request.statuses), request.name, request.created_from_ms > 0) == ([pb.RUNNING], "w", True)
        fake.will("ListInstances", first, last)
        assert run("workflow", "list", "--all", "-o", "json") == Exit.OK
        listed = json.loads(capsys.readouterr().out)
        assert [one["instance_id"] for one in listed["workflows"]] == ["a", "b"]

    def test_history_is_shown_and_exported(
        self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """The table has a line per event; the export is the documented JSON form."""
        recorded = [
            events.TurnStarted(1_760_000_000_000),
            events.ExecutionStarted("w", "i", "e1", b'{"a":1}', version="v1"),
            events.ActivityScheduled(1, "validate", b"\xff\xfe"),
        ]
        encoded = [msgspec.msgpack.encode(event) for event in recorded]
        fake.will("GetHistory", [pb.HistoryPage(execution_id="e1", events=encoded)])
        assert run("workflow", "history", "i") == Exit.OK
        shown = capsys.readouterr().out
        assert "history-000002" in shown
        assert "validate" in shown
        file = tmp_path / "history.json"
        assert run("workflow", "history", "i", "--export", str(file)) == Exit.OK
        exported = json.loads(file.read_text())
        head = (exported["format"], exported["execution_id"], exported["name"], exported["version"])
        assert head == ("tenuto-history/1", "e1", "w", "v1")
        assert exported["events"][1]["fields"]["input"] == '{"a":1}'
        assert exported["events"][2]["fields"]["input"] == {"base64": "//4="}
        assert run("workflow", "history", "i", "--export", str(tmp_path)) == Exit.USAGE

    def test_raw_records_are_shown_decoded(
        self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`state show` names shard and store key, and shows bytes and meaning of each record."""
        record = pb.Record(key="metadata", value=b"\x01\x02", json='{"name": "w"}')
        fake.will("GetState", pb.GetStateResponse(store_key="tenuto:{a/3}:instance:i", shard=3, records=[record]))
        assert run("state", "show", "i") == Exit.OK
        shown = capsys.readouterr().out
        for part in ("tenuto:{a/3}:instance:i", "metadata", "0102", '{"name": "w"}'):
            assert part in shown
        assert run("state", "show", "i", "-o", "json") == Exit.OK
        assert json.loads(capsys.readouterr().out)["records"][0]["value"] == "0102"

    def test_a_trace_in_three_forms(
        self, fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """Text, JSON and a page come from the same explanation."""
        fake.will("GetInstance", found(history_length=1))
        encoded = [msgspec.msgpack.encode(events.TurnStarted(1_760_000_000_000))]
        fake.will("GetHistory", [pb.HistoryPage(execution_id="e1", events=encoded)])
        fake.will("GetState", pb.GetStateResponse(store_key="k", shard=3))
        assert run("trace", "order-7") == Exit.OK
        assert "What a replay does" in capsys.readouterr().out
        assert run("trace", "order-7", "-o", "json") == Exit.OK
        assert json.loads(capsys.readouterr().out)["instance_id"] == "order-7"
        page = tmp_path / "page.html"
        assert run("trace", "order-7", "--html", str(page)) == Exit.OK
        assert page.read_text().startswith("<!doctype html>")


def test_commands_reach_the_engine(fake: FakeManagement, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Each steering command sends its request with its arguments, and says what was accepted."""
    for method in ("RaiseEvent", "SuspendInstance", "ResumeInstance", "TerminateInstance"):
        fake.will(method, pb.CommandResponse())
    fake.will("PurgeInstance", pb.PurgeResponse(deleted=2))
    fake.will("RerunInstance", lambda request: pb.StartInstanceResponse(instance_id=request.new_instance_id))
    assert run("workflow", "raise-event", "i", "Approved", "--data", "true") == Exit.OK
    assert run("workflow", "suspend", "i", "--reason", "audit") == Exit.OK
    assert run("workflow", "resume", "i") == Exit.OK
    assert run("workflow", "terminate", "i", "--result", "[1]", "--no-recursive") == Exit.OK
    assert run("workflow", "purge", "i", "--force") == Exit.OK
    assert run("workflow", "rerun", "i", "4", "--id", "i2", "--input", "null") == Exit.OK
    shown = capsys.readouterr().out
    assert "event 'Approved' sent to i" in shown
    assert "2 instances erased" in shown
    assert shown.endswith("i2\n")
    assert fake.requests("RaiseEvent")[0].payload == b"true"
    assert fake.requests("TerminateInstance")[0].recursive is False
    assert fake.requests("PurgeInstance")[0].force is True
    assert fake.requests("RerunInstance")[0].override_input is True


class TestArguments:
    def test_common_options_move_to_the_front(self) -> None:
        """They may stand anywhere but after `--`."""
        words = ["workflow", "get", "-o", "json", "i", "--no-color", "--engine=a:1", "--", "--output"]
        moved = ["-o", "json", "--no-color", "--engine=a:1", "workflow", "get", "i", "--", "--output"]
        assert hoist(words) == moved

    @pytest.mark.parametrize(
        ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("7d", 604_800), ("0.5s", 0.5), ("2m", 120)]
    )
    def test_durations(self, text: str, seconds: float) -> None:
        """Numbers with units, largest first or not, add up."""
        assert parse_duration(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5w", "1h x"])
    def test_wrong_durations(self, text: str) -> None:
        """Anything else is refused with an example."""
        with pytest.raises(typer.BadParameter, match="90s"):
            parse_duration(text)

    def test_moments(self) -> None:
        """ISO 8601 with zone is taken as it is, without zone as local time; None stays None."""
        assert parse_moment("2030-01-31T12:00Z", sign=1) == datetime(2030, 1, 31, 12, tzinfo=UTC)
        assert parse_moment("2030-01-31T12:00", sign=1) == datetime(2030, 1, 31, 12).astimezone(UTC)
        assert parse_moment(None, sign=1) is None


def test_the_release_is_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """`tenuto version` needs no engine."""
    assert run("version") == Exit.OK
    assert capsys.readouterr().out.startswith("tenuto ")


def test_a_missing_token_file_is_a_usage_error(run: Run, capsys: pytest.CaptureFixture[Any]) -> None:
    """What cannot be read is named."""
    assert run("workflow", "get", "i", "--token-file", "/nowhere/token") == Exit.USAGE
    assert "/nowhere/token" in capsys.readouterr().err
