"""One run of an activity as its worker and its code share it: signs of life go out, cancellation comes in.

The code may run in a thread of its own, so everything here may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tenuto._payloads import Payloads
from tenuto._wire.worker import ActivityCall, Beat

# Between two signs of life of a call without a heartbeat timeout.
_DEFAULT_SECONDS = 10.0
_lock = threading.Lock()


class ActivityRun:
    """A run, under the completion tokens of its deliveries, the latest last.

    Args:
        call: what the engine sent.
        payloads: how details are written and read.
        send: takes a sign of life; called from any thread.
    """

    __slots__ = (
        "_event",
        "_payloads",
        "_send",
        "_sent_at",
        "_unsent",
        "call",
        "every_s",
        "has_begun",
        "is_overdue",
        "reason",
        "tokens",
    )

    def __init__(self, call: ActivityCall, payloads: Payloads, send: Callable[[Beat], None]) -> None:
        self.call = call
        self.tokens = [call.token]
        self.reason: str | None = None
        self._payloads = payloads
        self._send = send
        self.has_begun = False
        self.is_overdue = False  # cancelled by its own timer: its failure is still an answer that somebody waits for
        self.every_s = call.heartbeat_ms / 3_000 or _DEFAULT_SECONDS
        self._sent_at = float("-inf")
        self._unsent: bytes | None = None
        self._event: threading.Event | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether the code is told to end: nobody waits for this run any more, or its time is over."""
        return self.reason is not None

    @property
    def may_not_fail(self) -> bool:
        """Whether nobody waits for a failure of this run."""
        return self.is_cancelled and not self.is_overdue

    def cancel(self, reason: str, *, is_overdue: bool = False) -> None:
        """Let the code know."""
        with _lock:
            self.reason, self.is_overdue = reason, is_overdue
            if self._event is not None:
                self._event.set()

    def wait(self, timeout_s: float | None) -> bool:
        """Block until the run is cancelled; False where it was not in time."""
        with _lock:
            if self._event is None:
                self._event = threading.Event()
                if self.is_cancelled:
                    self._event.set()
        return self._event.wait(timeout_s)

    def heartbeat(self, details: Any) -> None:
        """Send a sign of life, unless the last one was just sent; its details go with the next one then."""
        data = self._payloads.dump(details, what=f"heartbeat of activity '{self.call.name}'")
        now = time.monotonic()
        with _lock:
            if now - self._sent_at < self.every_s:
                self._unsent = data if data is not None else self._unsent
                return
            self._sent_at, self._unsent = now, None
        self._send(Beat(self.tokens[-1], data))

    def take_unsent(self) -> Beat | None:
        """The last details where they are not sent: what a failed run leaves to the next attempt."""
        with _lock:
            data, self._unsent = self._unsent, None
        return None if data is None else Beat(self.tokens[-1], data)

    def former_details(self) -> Any:
        """What an earlier run of this call said last, None where it said nothing."""
        data = self.call.heartbeat_details
        return None if data is None else self._payloads.load(data, Any, what=f"heartbeat of '{self.call.name}'")
