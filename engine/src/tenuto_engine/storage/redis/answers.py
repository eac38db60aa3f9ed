"""Replies of the scripts as outcomes. A plain number is the common answer: an inbox number.

A server's error is an outcome too: Redis runs a script whole or refuses it before its first write, so the
operation certainly did not happen.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from redis.exceptions import ResponseError

from tenuto_engine.core.status import Status
from tenuto_engine.ports.operations import Commit, Operation
from tenuto_engine.ports.outcomes import (
    Appended,
    Committed,
    Conflict,
    Created,
    Delivered,
    Done,
    Exists,
    Fenced,
    Outcome,
    Refused,
    Rejected,
)
from tenuto_engine.storage.redis.keys import read_text

Part = Appended | Refused | Created | Exists

_DONE = Done()
FENCED = Fenced()


class Again(msgspec.Struct, frozen=True):
    """Nothing was written: the instances have other versions or names than believed.

    `corrections`: instance id, version, name (empty where it does not matter).
    """

    corrections: list[tuple[str, str, str]]


def read_outcome(operation: Operation, reply: object) -> Outcome | Again:
    """Translate one script's reply.

    Raises:
        ValueError: the reply is none that the scripts give (another program answers on this address).
    """
    if type(reply) is int:
        return Committed(reply) if type(operation) is Commit else Appended(reply)
    if isinstance(reply, ResponseError):
        return Rejected(f"the store refused the operation: {reply}")
    return _read_list(operation, cast("list[Any]", reply))


def _read_list(operation: Operation, reply: list[Any]) -> Outcome | Again:
    match reply[0]:
        case b"committed":
            return Committed(reply[1], tuple(reply[2]), tuple(map(_read_append, reply[3])))
        case b"delivered":
            return Delivered(tuple(map(_read_part, reply[1])))
        case b"done":
            return _DONE
        case b"fenced":
            return FENCED
        case b"conflict":
            return Conflict(reply[1].decode(), _read_detail(reply[1], reply[2].decode()))
        case b"dropped":
            return Refused(reply[1].decode(), dropped=True)
        case b"duplicate" if type(operation) is Commit:
            return Committed(reply[1], duplicate=True)
        case b"again":
            texts = [text.decode() for text in reply[1:]]
            return Again([(texts[i], read_text(texts[i + 1]), texts[i + 2]) for i in range(0, len(texts), 3)])
        case _:
            return _read_part(reply)


def _read_part(reply: int | list[Any]) -> Part:
    """An answer that may stand alone or inside the answer of a delivery."""
    if not isinstance(reply, int):
        if reply[0] == b"created":
            return Created(ready=reply[1] == 1)
        if reply[0] == b"exists":
            return Exists(reply[1] == 1, Status(int(reply[2])), read_text(reply[3].decode()))
    return _read_append(reply)


def _read_append(reply: int | list[Any]) -> Appended | Refused:
    """An answer that may also stand inside the answer of a commit."""
    if isinstance(reply, int):
        return Appended(reply)
    match reply[0]:
        case b"duplicate":
            return Appended(-1, duplicate=True)
        case b"refused":
            return Refused(reply[1].decode())
        case _:
            raise ValueError(f"the store gave the unknown answer {reply!r}")


def _read_detail(what: bytes, detail: str) -> str:
    match what:
        case b"message":
            return str(int(detail.removeprefix("inbox-")))
        case b"execution" | b"commit":
            return read_text(detail)
        case _:
            return detail
