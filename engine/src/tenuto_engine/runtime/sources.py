"""What the runtime takes from the machine it runs on: a clock that only rises, a calendar, chance.

Given from outside, so that a simulation can run many engines on a time of its own and repeat every step.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec


class Sources(msgspec.Struct, frozen=True):
    """The real ones by default.

    `monotonic_ns`: nanoseconds that never go back, from any origin; may be read from any thread. `unix_ns`: the
    calendar's, only a first guess at the store's clock. `random_hex`: so many random bytes, unguessable, as hex digits.
    """

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    unix_ns: Callable[[], int] = time.time_ns
    random_hex: Callable[[int], str] = secrets.token_hex
