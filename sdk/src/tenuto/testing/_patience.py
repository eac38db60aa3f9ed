"""What to say when a test has waited for too long, or asks an environment that is no more."""

from __future__ import annotations

import sys
import threading
import traceback
from datetime import UTC, datetime

from tenuto.testing._control import Control


def outstanding(control: Control, patience_s: float) -> str:
    """What runs, or what lets time pass for ever, after so many seconds of real time."""
    now = datetime.fromtimestamp(control.engines.now_ms / 1000, UTC)
    lines = [
        f"after {patience_s:g} s of real time the environment is not done; virtual time is {now:%Y-%m-%d %H:%M:%S} UTC"
    ]
    if control.engines.still_s < patience_s / 2:
        lines.append(
            "  Nothing holds time, so it passes: is there a workflow that goes on for ever? "
            "advance() lets a chosen time pass"
        )
        return "\n".join(lines)
    running = [call for call in control.book.calls if call.is_running]
    lines += [f"  runs: {call} (instance '{call.instance_id}')" for call in running]
    if running:
        lines.append("  Time stands still while an activity runs: let it return, or fake it (fake_activity)")
    for instance_id in control.engines.turning():
        lines.append(f"  workflow code of instance '{instance_id}' does not return; its worker stands here:")
        lines.append(_stack_of_worker())
    if len(lines) == 1:
        lines.append("  Nothing that is known of runs: is this machine too busy for so little patience?")
    return "\n".join(lines)


def _stack_of_worker() -> str:
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # the only way
    for thread in threading.enumerate():
        if thread.name == "tenuto-test-worker" and thread.ident in frames:
            return "".join(traceback.format_stack(frames[thread.ident])).rstrip()
    return "  (on the test's own loop)"


def closed_error(failure: BaseException | None) -> RuntimeError:
    """The error for an environment that has ended, by itself or in order."""
    if failure is not None:
        error = RuntimeError(f"engine or worker of this environment has failed: {failure!r}")
        error.__cause__ = failure
        return error
    return RuntimeError("this environment is closed: use it inside its `with` block, or make another one")
