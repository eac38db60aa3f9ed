"""When a failed activity is tried again: a pure function of the policy, the attempt and the call's identity."""

from __future__ import annotations

import zlib

from tenuto_engine.core.events import Failure, RetryPolicy

_JITTER_STEPS = 1 << 32


def next_delay_ms(
    policy: RetryPolicy | None, *, attempt: int, elapsed_ms: int, failure: Failure, identity: str
) -> int | None:
    """Return how long to wait before the next attempt in milliseconds, or None where there is none.

    Args:
        policy: of the call; None means a single attempt.
        attempt: the one that failed, counted from 1.
        elapsed_ms: since the call was scheduled.
        failure: of that attempt; non-retryable ones, by flag or by a type the policy lists, end the call.
        identity: of the call; with the attempt it decides the jitter, so the same call always waits equally long.
    """
    if policy is None or failure.non_retryable or _is_listed(policy, failure):
        return None
    if policy.max_attempts and attempt >= policy.max_attempts:
        return None
    delay = _delay_ms(policy, attempt)
    if policy.jitter > 0:
        share = zlib.crc32(f"{identity}#{attempt}".encode()) / _JITTER_STEPS
        delay = int(delay * (1 - policy.jitter * share))
    if policy.total_timeout_ms and elapsed_ms + delay >= policy.total_timeout_ms:
        return None
    return delay


def _delay_ms(policy: RetryPolicy, attempt: int) -> int:
    try:
        delay = policy.first_interval_ms * policy.backoff ** (attempt - 1)
    except OverflowError:
        delay = float("inf")
    ceiling = policy.max_interval_ms or 365 * 86_400_000
    return int(min(delay, ceiling))


def _is_listed(policy: RetryPolicy, failure: Failure) -> bool:
    """A listed name matches the failure's class or a base of it, qualified or not."""
    if not policy.non_retryable:
        return False
    names = {failure.type, *failure.bases}
    names |= {name.rpartition(".")[2] for name in names}
    return any(name in names for name in policy.non_retryable)
