"""What `execute_group` answers, as outcomes: a line of words, and one more line for each part."""

from __future__ import annotations

from tenuto_engine.core.status import Status
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
)

_DONE = Done()
_FENCED = Fenced()


def read_outcome(answer: str) -> Outcome:
    """Read the answer to one operation."""
    line, *parts = answer.split("\n")
    word, _, rest = line.partition(" ")
    match word:
        case "committed":
            inbox_next, first, count = map(int, rest.split(" "))
            return Committed(int(inbox_next), tuple(range(first, first + count)), tuple(map(_read_append, parts)))
        case "repeated":
            return Committed(int(rest), duplicate=True)
        case "conflict":
            what, _, detail = rest.partition(" ")
            return Conflict(what, detail)
        case "fenced":
            return _FENCED
        case "done":
            return _DONE
        case "dropped":
            return Refused(rest, dropped=True)
        case "delivered":
            return Delivered(tuple(map(_read_part, parts)))
        case _:
            return _read_part(line)


def _read_part(line: str) -> Appended | Refused | Created | Exists:
    """Read an answer that may stand alone or inside the answer of a delivery."""
    word, _, rest = line.partition(" ")
    match word:
        case "created":
            return Created(ready=rest == "1")
        case "exists":
            duplicate, status, execution_id = rest.split(" ", 2)
            return Exists(duplicate == "1", Status(int(status)), execution_id)
        case _:
            return _read_append(line)


def _read_append(line: str) -> Appended | Refused:
    """Read an answer that may also stand inside the answer of a commit."""
    word, _, rest = line.partition(" ")
    match word:
        case "appended":
            return Appended(int(rest))
        case "duplicate":
            return Appended(-1, duplicate=True)
        case "refused":
            return Refused(rest)
        case _:
            raise ValueError(f"the store gave the unknown answer {line!r}")
