"""What an environment raises beside the errors of `tenuto.errors`: failures of the test, so AssertionErrors.

AssertionError
├── WorkflowBlocked      the instance waits for what will never happen by itself
├── WorkflowStalled      its code does not fit its history, or its turns fail again and again
└── StillRunning         real time is over: an activity, or workflow code, does not return
"""

from __future__ import annotations


class WorkflowBlocked(AssertionError):
    """Nothing happens any more, at whatever time, and the instance has not ended; the message says what it awaits."""


class WorkflowStalled(AssertionError):
    """The instance cannot go on: its code asked for something else than history records, or its turns fail."""


class StillRunning(AssertionError):
    """Real time is over while something runs; the message names it. Virtual time stands still for what runs."""
