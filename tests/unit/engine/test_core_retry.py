"""When a failed attempt is tried again."""

from __future__ import annotations

import pytest

from tenuto_engine.core.events import Failure, RetryPolicy
from tenuto_engine.core.retry import next_delay_ms

FAILURE = Failure("shop.errors.CardDeclined", "no", bases=["shop.errors.PaymentError", "ValueError"])
YEAR_MS = 365 * 86_400_000


def delay(
    policy: RetryPolicy | None, *, attempt: int = 1, elapsed_ms: int = 0, failure: Failure = FAILURE, call: str = "c"
) -> int | None:
    """The delay after a failed attempt."""
    return next_delay_ms(policy, attempt=attempt, elapsed_ms=elapsed_ms, failure=failure, identity=call)


def test_without_policy_there_is_one_attempt() -> None:
    """A call without policy fails at once."""
    assert delay(None) is None


def test_intervals_grow_by_the_backoff() -> None:
    """The first interval times the backoff for each failed attempt."""
    policy = RetryPolicy(100, 0, 2.0)
    assert [delay(policy, attempt=n) for n in range(1, 6)] == [100, 200, 400, 800, 1600]


def test_intervals_stop_at_the_maximum() -> None:
    """No interval is longer than the maximum."""
    policy = RetryPolicy(100, 0, 10.0, max_interval_ms=5_000)
    assert [delay(policy, attempt=n) for n in range(1, 6)] == [100, 1_000, 5_000, 5_000, 5_000]


@pytest.mark.parametrize("attempt", [50, 5_000, 10**9])
def test_intervals_without_maximum_never_overflow(attempt: int) -> None:
    """Without a maximum an interval ends at a year, however many attempts there were."""
    assert delay(RetryPolicy(1_000, 0, 1_000.0), attempt=attempt) == YEAR_MS


@pytest.mark.parametrize(("attempt", "expected"), [(1, 100), (2, 100), (3, None), (4, None)])
def test_attempts_are_counted_with_the_first(attempt: int, expected: int | None) -> None:
    """A policy of three attempts tries twice again."""
    assert delay(RetryPolicy(100, 3), attempt=attempt) == expected


def test_zero_attempts_mean_without_end() -> None:
    """0 is unlimited."""
    assert delay(RetryPolicy(100, 0), attempt=1_000_000) == 100


@pytest.mark.parametrize(("elapsed_ms", "expected"), [(0, 100), (899, 100), (900, None), (5_000, None)])
def test_total_timeout_bounds_all_attempts(elapsed_ms: int, expected: int | None) -> None:
    """An attempt that would begin at or after the total timeout is not made."""
    assert delay(RetryPolicy(100, 0, total_timeout_ms=1_000), elapsed_ms=elapsed_ms) == expected


def test_non_retryable_failures_end_the_call() -> None:
    """A failure that says so is not tried again."""
    assert delay(RetryPolicy(100, 0), failure=Failure("E", "no", non_retryable=True)) is None


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("shop.errors.CardDeclined", None),
        ("CardDeclined", None),
        ("shop.errors.PaymentError", None),
        ("PaymentError", None),
        ("ValueError", None),
        ("Card", 100),
        ("errors.CardDeclined", 100),
        ("other.CardDeclined", 100),
        ("cardDeclined", 100),
    ],
)
def test_listed_types_match_class_and_bases(listed: str, expected: int | None) -> None:
    """A listed name is the class or a base of it, qualified or not; nothing between counts."""
    assert delay(RetryPolicy(100, 0, non_retryable=["OSError", listed])) == expected


def test_causes_are_not_matched() -> None:
    """Only the failure itself decides: its cause may be of any type."""
    failure = Failure("RuntimeError", "no", cause=FAILURE)
    assert delay(RetryPolicy(100, 0, non_retryable=["CardDeclined"]), failure=failure) == 100


def test_jitter_is_decided_by_the_call() -> None:
    """The same call and attempt always wait equally long, others differently, within the share that may vary."""
    policy = RetryPolicy(10_000, 0, jitter=0.4)
    delays = [delay(policy, attempt=n, call=call) for call in ("a", "b", "c") for n in range(1, 20)]
    assert delays == [delay(policy, attempt=n, call=call) for call in ("a", "b", "c") for n in range(1, 20)]
    assert len(set(delays)) > 50
    assert all(6_000 <= found <= 10_000 for found in delays if found is not None)


def test_without_jitter_all_calls_wait_equally() -> None:
    """No jitter means the interval itself."""
    assert {delay(RetryPolicy(10_000, 0), call=call) for call in "abc"} == {10_000}
