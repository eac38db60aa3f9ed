"""The clock and the window of stores that live in the engine's own process."""

import time

# How long the ids of accepted commands are remembered: a client repeats a command only inside this window, so it is
# far above any retry of one call and far below anything that would make the ids a burden.
DEDUP_WINDOW_MS = 120_000


def system_ms() -> int:
    """Return the system's clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000
