"""Retry policies and durations, as users write them, and what the engine is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from zlib import crc32

from tenuto._replay import events

_MILLISECOND = timedelta(milliseconds=1)
_LONGEST_INTERVAL_MS = 365 * 86_400_000
_JITTER_STEPS = 1 << 32


class RetryPolicy:
    """When a failed activity or child workflow is tried again.

    The delay before attempt n + 1 is `first_retry_interval * backoff_coefficient ** (n - 1)`, at most
    `max_retry_interval`. The engine keeps the time, so the wait survives a crash of everything.

    Args:
        first_retry_interval: delay before the second attempt; 0 or more.
        max_number_of_attempts: all attempts, the first one included; at least 1. None: as many as it takes.
        backoff_coefficient: factor between two delays; at least 1. None: 1, equal delays.
        max_retry_interval: longest delay. None: a year.
        retry_timeout: no attempt starts later than this after the first one was asked for. None: no such limit.
        jitter: share of each delay that varies between calls, from 0 to 1, so that calls which failed together do not
            come back together. It follows from the call's identity: the same call always waits equally long.
        non_retryable_errors: errors that end the call at once: classes, or their names, qualified or not; a class
            stands for those derived from it too.

    Raises:
        ValueError: a value lies outside its range.
    """

    __slots__ = ("_wire",)

    def __init__(
        self,
        *,
        first_retry_interval: timedelta,
        max_number_of_attempts: int | None,
        backoff_coefficient: float | None = 1.0,
        max_retry_interval: timedelta | None = None,
        retry_timeout: timedelta | None = None,
        jitter: float = 0.0,
        non_retryable_errors: Iterable[type[BaseException] | str] = (),
    ) -> None:
        factor = 1.0 if backoff_coefficient is None else float(backoff_coefficient)
        if max_number_of_attempts is not None and max_number_of_attempts < 1:
            raise ValueError(f"max_number_of_attempts is {max_number_of_attempts}, but must be at least 1 (or None)")
        if factor < 1:
            raise ValueError(f"backoff_coefficient is {factor}, but must be at least 1")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter is {jitter}, but must be from 0 to 1")
        self._wire = events.RetryPolicy(
            first_interval_ms=to_milliseconds(first_retry_interval, what="first_retry_interval"),
            max_attempts=max_number_of_attempts or 0,
            backoff=factor,
            max_interval_ms=optional_milliseconds(max_retry_interval, what="max_retry_interval"),
            total_timeout_ms=optional_milliseconds(retry_timeout, what="retry_timeout"),
            jitter=float(jitter),
            non_retryable=[_error_name(error) for error in non_retryable_errors],
        )

    @property
    def first_retry_interval(self) -> timedelta:
        """Delay before the second attempt."""
        return timedelta(milliseconds=self._wire.first_interval_ms)

    @property
    def max_number_of_attempts(self) -> int | None:
        """All attempts, the first one included; None: as many as it takes."""
        return self._wire.max_attempts or None

    @property
    def backoff_coefficient(self) -> float:
        """Factor between two delays."""
        return self._wire.backoff

    @property
    def max_retry_interval(self) -> timedelta | None:
        """Longest delay."""
        return timedelta(milliseconds=self._wire.max_interval_ms) if self._wire.max_interval_ms else None

    @property
    def retry_timeout(self) -> timedelta | None:
        """No attempt starts later than this after the first one was asked for."""
        return timedelta(milliseconds=self._wire.total_timeout_ms) if self._wire.total_timeout_ms else None

    @property
    def wire(self) -> events.RetryPolicy:
        """The policy as it is recorded."""
        return self._wire

    def __repr__(self) -> str:
        return f"RetryPolicy({self._wire})"


def _error_name(error: type[BaseException] | str) -> str:
    if isinstance(error, str):
        return error
    return error.__qualname__ if error.__module__ == "builtins" else f"{error.__module__}.{error.__qualname__}"


def to_milliseconds(duration: timedelta, *, what: str) -> int:
    """A duration in whole milliseconds, rounded up.

    Raises:
        TypeError: it is no timedelta.
        ValueError: it is negative.
    """
    if not isinstance(duration, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]  # users may pass numbers
        raise TypeError(f"{what} is {duration!r}; give a datetime.timedelta, such as timedelta(seconds=30)")
    if duration < timedelta(0):
        raise ValueError(f"{what} is {duration}, but must not be negative")
    return -(-duration // _MILLISECOND)


def optional_milliseconds(duration: timedelta | None, *, what: str) -> int:
    """Like `to_milliseconds`; None gives 0, which means none. A duration of zero is refused, being neither."""
    if duration is None:
        return 0
    milliseconds = to_milliseconds(duration, what=what)
    if milliseconds == 0:
        raise ValueError(f"{what} is zero; leave it out for no limit")
    return milliseconds


@dataclass(frozen=True, slots=True)
class RetryQuestion:
    """A failed attempt: which one (from 1), how long since the call was asked for, why, and whose."""

    attempt: int
    elapsed_ms: int
    failure: events.Failure
    identity: str


def next_delay_ms(policy: events.RetryPolicy, question: RetryQuestion) -> int | None:
    """How long to wait before the next attempt of a child workflow, or None where there is none.

    The engine decides this for activities, by the same rules.
    """
    failure = question.failure
    if failure.non_retryable or _is_listed(policy, failure):
        return None
    if policy.max_attempts and question.attempt >= policy.max_attempts:
        return None
    try:
        delay = policy.first_interval_ms * policy.backoff ** (question.attempt - 1)
    except OverflowError:
        delay = float("inf")
    delay = min(delay, policy.max_interval_ms or _LONGEST_INTERVAL_MS)
    if policy.jitter:
        share = crc32(f"{question.identity}#{question.attempt}".encode()) / _JITTER_STEPS
        delay *= 1 - policy.jitter * share
    if policy.total_timeout_ms and question.elapsed_ms + delay >= policy.total_timeout_ms:
        return None
    return int(delay)


def _is_listed(policy: events.RetryPolicy, failure: events.Failure) -> bool:
    names = {failure.type, *failure.bases}
    names |= {name.rpartition(".")[2] for name in names}
    return not names.isdisjoint(policy.non_retryable)
