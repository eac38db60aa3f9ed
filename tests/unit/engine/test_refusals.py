"""What a worker says where it refuses a turn, as the engine keeps and counts it."""

from __future__ import annotations

import pytest

from tenuto_engine.codec.events import encode_failure
from tenuto_engine.core.events import Failure
from tenuto_engine.core.limits import MAX_STALL_REASON
from tenuto_engine.ports.inbound import TurnAnswer, TurnOutcome
from tenuto_engine.runtime.refusals import bounded_reason, nondeterminism_code, reason_of


def answer(failure: bytes) -> TurnAnswer:
    return TurnAnswer("i", "x", "c", TurnOutcome.NON_DETERMINISTIC, failure=failure)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("UNEXPECTED_ACTIVITY", "unexpected_activity"),
        ("NON_DETERMINISTIC", "non_deterministic"),
        ("tenuto.errors.NonDeterminismError", "non_deterministic"),
        ("", "non_deterministic"),
    ],
)
def test_a_refusal_is_counted_by_the_failures_type(kind: str, counted: str) -> None:
    """Types that are no code, as of older workers, count as the general one: labels come from nobody's text."""
    refusal = answer(encode_failure(Failure(kind, "why")))
    assert (nondeterminism_code(refusal), reason_of(refusal)) == (counted, "why")


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x90"])
def test_a_failure_that_cannot_be_read_is_no_fault(data: bytes) -> None:
    """The instance stalls all the same, and says what could be said."""
    assert nondeterminism_code(answer(data)) == "non_deterministic"
    assert bool(reason_of(answer(data))) == bool(data)


def test_a_reason_fits_its_record() -> None:
    """A long one is cut and says by how much; one that fits stays as it is."""
    fits = "x" * MAX_STALL_REASON
    assert bounded_reason(fits) == fits
    cut = bounded_reason(fits + "y" * 1_000)
    assert len(cut) == MAX_STALL_REASON
    assert cut.startswith("xxx")
    assert "more characters left out" in cut
