"""The completion token of one delivery of an activity."""

from __future__ import annotations

import pytest

from tenuto_engine.ports.records import ActivityKey
from tenuto_engine.runtime.call import parse_token, token_of


@pytest.mark.parametrize("instance_id", ["order-1", "a.b.c", "....", "a|b@c{d} 'e'", "日本", "i" * 1024])
def test_tokens_carry_any_instance_id(instance_id: str) -> None:
    """A token is read back to the call and the attempt, whatever stands in the instance's id."""
    key = ActivityKey(7, "x1", instance_id)
    assert parse_token(token_of(key, attempt=3, deliveries=9)) == (key, 3)


MALFORMED = (
    "",
    "7",
    "7.1.1.x1",
    "x.1.1.x1.order-1",
    "7.x.1.x1.order-1",
    "--7.1.1.x1.i",
    "-7.1.1.x.i",
    "+7.1.1.x.i",
    ".1.1.x.i",
    "7 .1.1.x.i",
    f"{'9' * 11}.1.1.x.i",
    f"7.{'9' * 5000}.1.x.i",
)


@pytest.mark.parametrize("token", MALFORMED, ids=lambda token: token[:20])
def test_anything_else_is_no_token(token: str) -> None:
    """Malformed, signed and oversized numbers are no token, and never an error."""
    assert parse_token(token) is None
