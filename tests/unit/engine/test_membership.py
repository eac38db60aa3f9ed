"""Who is gone: judged by a roll that was read after what they did, whatever the store's clock does."""

from __future__ import annotations

from tenuto_engine.ports.leases import Member, Present, Roll
from tenuto_engine.runtime.membership import Membership

NOW_MS = 1_700_000_000_000


def _after_a_roll() -> Membership:
    """One engine, `here`, has read a roll at NOW_MS in which `other` stands as well."""
    membership = Membership("here")
    members = [Member(name, "", 1, draining=False, has_workers=True) for name in ("here", "other")]
    membership.learn(Roll(NOW_MS, [Present(member, 10_000) for member in members]))
    return membership


def test_whoever_stands_in_the_roll_is_not_gone() -> None:
    """Nor is this engine itself, whatever the roll says."""
    membership = _after_a_roll()
    assert not membership.is_gone("other", NOW_MS - 1_000)
    assert not membership.is_gone("here", NOW_MS - 1_000)


def test_only_a_roll_that_was_read_later_tells_that_somebody_is_gone() -> None:
    """Who claimed just now may have come since the roll was read."""
    membership = _after_a_roll()
    assert membership.is_gone("unknown", NOW_MS - 1)
    assert not membership.is_gone("unknown", NOW_MS + 1_000)


def test_a_claim_from_before_the_clock_was_set_back_is_old() -> None:
    """An hour in the future is no time at which anybody claimed: its calls would wait for an hour."""
    assert _after_a_roll().is_gone("unknown", NOW_MS + 3_600_000)


def test_a_store_that_only_one_engine_can_open_leaves_no_doubt() -> None:
    """Whoever else has claimed anything there is gone, also where the claim was made in this very millisecond."""
    membership = _after_a_roll()
    membership.exclusive = True
    assert membership.is_gone("unknown", NOW_MS)
    assert not membership.is_gone("here", NOW_MS)
