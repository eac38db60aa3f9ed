"""Many calls in one message: the frames of `tenuto.v1.Management/Calls`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from tenuto_proto.v1 import management_pb2 as pb

CALLS_METHOD: Final = "/tenuto.v1.Management/Calls"


class Answer(NamedTuple):
    """One answer. `code` is a gRPC status code, 0 for OK; `response` that method's encoded response."""

    call_id: int
    code: int
    details: str
    response: bytes


class MalformedAnswers(ValueError):
    """Bytes that are no batch of answers."""


def encode_calls(calls: Iterable[tuple[int, str, bytes]]) -> bytes:
    """Return one message with calls of (id, method name, encoded request)."""
    batch = pb.CallBatch()
    add = batch.calls.add
    for call_id, method, request in calls:
        add(id=call_id, method=method, request=request)
    return batch.SerializeToString()


def decode_answers(data: bytes) -> list[Answer]:
    """Return the answers of one message.

    Raises:
        MalformedAnswers: the bytes are something else.
    """
    try:
        batch = pb.AnswerBatch.FromString(data)
    except DecodeError as error:
        raise MalformedAnswers(f"the engine sent an unreadable batch of answers: {error}") from error
    return [Answer(one.id, one.code, one.details, one.response) for one in batch.answers]
