"""What a worker says where it did not run a turn: in its own words, cut to what a record may keep."""

from __future__ import annotations

from tenuto_engine.codec.events import UndecodableError, decode_failure
from tenuto_engine.core.limits import MAX_STALL_REASON
from tenuto_engine.ports.inbound import TurnAnswer
from tenuto_engine.runtime.metrics.families import NONDETERMINISM_CODES


def reason_of(answer: TurnAnswer) -> str:
    """The failure's message; empty where there is none."""
    return _read(answer)[1]


def nondeterminism_code(answer: TurnAnswer) -> str:
    """One of `NONDETERMINISM_CODES`: the type of the failure says which; any other counts as the first."""
    code = _read(answer)[0].lower()
    return code if code in NONDETERMINISM_CODES else NONDETERMINISM_CODES[0]


def bounded_reason(reason: str) -> str:
    """A reason that fits an instance's metadata, where every commit writes it anew; what is cut off says so."""
    if len(reason) <= MAX_STALL_REASON:
        return reason
    end = f"\n... {len(reason) - MAX_STALL_REASON:,} more characters left out"
    return reason[: MAX_STALL_REASON - len(end)] + end


def _read(answer: TurnAnswer) -> tuple[str, str]:
    if not answer.failure:
        return "", ""
    try:
        failure = decode_failure(answer.failure)
    except UndecodableError as error:
        return "", str(error)
    return failure.type, failure.message
