"""Statuses and holds of an instance; the numbers are stored and equal those of `tenuto.v1.Status`."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Runtime status of an instance."""

    PENDING = 1
    RUNNING = 2
    SUSPENDED = 3
    COMPLETED = 4
    FAILED = 5
    TERMINATED = 6
    STALLED = 7


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.TERMINATED})


class Hold(IntEnum):
    """Why unread messages do not make an instance ready. Control messages pass every hold."""

    NONE = 0
    SUSPENDED = 1
    STALLED = 2
    DELAYED = 3
