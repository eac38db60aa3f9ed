"""What people read of failures: one chain of causes, each said once, with the place in the code."""

from __future__ import annotations

import io
import logging
import zlib
from typing import Any

import pytest
from rich.console import Console

import tenuto as wf
from fake_engine import FakeEngine
from tenuto._cli.tables import state_table
from tenuto._payloads import Payloads
from tenuto._replay import events
from tenuto._replay.actions import encode_failure
from tenuto._trace.content import failure_text
from tenuto._wire.instances import WorkflowState, payload_text
from tenuto_proto.v1 import management_pb2 as pb


class Packed:
    """A payload codec that knows its own bytes only."""

    def encode(self, data: bytes) -> bytes:
        return zlib.compress(data)

    def decode(self, data: bytes) -> bytes:
        return zlib.decompress(data)


class Broken:
    """A payload codec without its key."""

    def encode(self, data: bytes) -> bytes:
        raise KeyError("no key")

    def decode(self, data: bytes) -> bytes:
        raise KeyError("no key")


def state(**fields: Any) -> pb.Instance:
    return pb.Instance(instance_id="i", name="w", status=pb.COMPLETED, **fields)


def shown(found: WorkflowState) -> str:
    """The table of one instance, as text."""
    out = io.StringIO()
    Console(file=out, width=300, force_terminal=True, no_color=True).print(state_table(found))
    return out.getvalue()


async def test_a_chain_of_failures_does_not_double_at_each_level(caplog: pytest.LogCaptureFixture) -> None:
    """Ten workflows deep, each level adds its own words to the text and no second copy of those below."""
    engine = FakeEngine()
    await engine.start()
    runtime = wf.WorkflowRuntime(engine=engine.address)

    @runtime.activity
    def charge(ctx: wf.WorkflowActivityContext) -> None:
        raise ValueError("declined")

    @runtime.workflow
    def level(ctx: wf.WorkflowContext, depth: int) -> Any:
        if depth:
            yield ctx.call_child_workflow(level, input=depth - 1)
        yield ctx.call_activity(charge)

    async with runtime:
        engine.begin("level", 9)
        failure = await engine.failure()
    await engine.stop()
    text = failure_text(failure)
    assert text.count("declined") == 1
    assert text.count("child workflow 'level' failed") == 9
    assert len(text) < 1_000
    logged = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(logged) == 11
    assert logged[0].exc_info is not None, "an activity's failure is logged with its traceback"
    assert "yield ctx.call_activity(charge)" in logged[1].message, "a workflow's names the place in the code"


def test_causes_that_say_something_new_are_told() -> None:
    """A cause whose words are already there is passed over, the next one is told."""
    origin = wf.FailureDetails("closed", "OSError")
    declined = wf.FailureDetails("no money", "shop.Declined", cause=origin)
    outer = wf.FailureDetails("activity 'charge' failed: shop.Declined: no money", "TaskFailedError", cause=declined)
    assert str(outer) == (
        "TaskFailedError: activity 'charge' failed: shop.Declined: no money (caused by OSError: closed)"
    )
    assert outer.headline == "TaskFailedError: activity 'charge' failed: shop.Declined: no money"


def test_the_table_shows_where_each_cause_was_raised() -> None:
    """The place that matters is often the innermost one."""
    cause = events.Failure("shop.Declined", "no\x1b[31m money", '  File "shop.py", line 7, in charge\n')
    failure = events.Failure("TaskFailedError", "activity 'charge' failed", '  File "shop.py", line 40, in w\n', cause)
    text = shown(WorkflowState(pb.Instance(instance_id="i", status=pb.FAILED, failure=encode_failure(failure))))
    assert text.index("line 40, in w") < text.rindex("caused by") < text.index("line 7, in charge")
    assert "\x1b[31m" not in text, "control characters of a message do not reach the terminal"


def test_bytes_of_a_codec_are_shown_as_base64() -> None:
    """Without the codec, encoded payloads are text that can be copied and decoded, never raw bytes."""
    assert payload_text(b'{"a":1}') == '{"a":1}'
    assert payload_text(b"\xff\x00") == '{"base64":"/wA="}'
    assert WorkflowState(state(output=b"\xff\x00")).to_json()["serialized_output"] == '{"base64":"/wA="}'
    assert "\x07" not in shown(WorkflowState(state(output=b'"\x07"')))


def test_a_codec_that_fails_is_named() -> None:
    """Reading with another codec than the writer's says whose payload, and why; writing with a broken one too."""
    found = WorkflowState(state(output=b'"plain"'), Packed())
    with pytest.raises(wf.PayloadError, match=r"could not decode the output of instance 'i': error.*another codec"):
        found.result()
    with pytest.raises(wf.PayloadError, match="could not encode 1 bytes: KeyError"):
        Payloads(Broken()).dump(1)


def test_a_forgotten_yield_is_suspected() -> None:
    """A task where a value belongs is the mark of a forgotten yield or await."""
    with pytest.raises(wf.PayloadError, match=r"value of type Task, which has no JSON form; was a yield or await"):
        Payloads(None).dump([wf.Task[int]()], what="result of workflow 'w'")
