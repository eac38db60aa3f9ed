"""How a test waits for what it asked of an environment: blocking, or on its own event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, Future
from enum import Enum
from typing import Any, TypeVar

from tenuto.testing._control import Control, Work
from tenuto.testing._patience import closed_error, outstanding
from tenuto.testing.errors import StillRunning, WorkflowBlocked, WorkflowStalled

R = TypeVar("R")


class Stage(Enum):
    """Where an environment stands."""

    NEW = 0
    OPEN = 1
    CLOSED = 2


class Driver:
    """The part that both ways share: one environment's control, and whether it may be asked.

    Args:
        control: the environment's.
        patience_s: how long, in real seconds, one call may take.
    """

    def __init__(self, control: Control, patience_s: float) -> None:
        self.control = control
        self.stage = Stage.NEW
        self.patience_s = patience_s

    def require(self, stage: Stage = Stage.OPEN) -> None:
        """Raise RuntimeError unless the environment is at that stage."""
        if self.stage is stage:
            return
        if stage is Stage.NEW:
            raise RuntimeError("an environment is used once; make another one")
        if self.stage is Stage.NEW:
            raise RuntimeError("this environment has not begun; use it as `with WorkflowEnvironment(runtime) as env:`")
        raise closed_error(None)

    def submit(self, work: Work[R]) -> Future[R]:
        """Have work done on the engine's loop."""
        self.require()
        return self.control.engines.submit(work)

    def impatient(self, future: Future[Any]) -> StillRunning:
        """Give up waiting for work."""
        self.control.engines.withdraw(future)
        return StillRunning(outstanding(self.control, self.patience_s))

    def ended(self) -> RuntimeError:
        """The error where work was dropped because the engine is no more."""
        return closed_error(self.control.engines.failure)


class BlockingDriver(Driver):
    """For tests that are plain functions."""

    def do(self, work: Work[R]) -> R:
        """Have work done, and wait for it."""
        __tracebackhide__ = True
        future = self.submit(work)
        try:
            return future.result(self.patience_s)
        except (WorkflowBlocked, WorkflowStalled) as failure:
            # The message says it all; the frames of the engine's loop would stand above it on a page of their own.
            raise failure.with_traceback(None) from None
        except TimeoutError:
            if future.done():
                raise  # it is what the work raised
            raise self.impatient(future) from None
        except CancelledError:
            raise self.ended() from None


class LoopDriver(Driver):
    """For tests that are coroutines."""

    async def do(self, work: Work[R]) -> R:
        """Have work done, and wait for it."""
        future = self.submit(work)
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait((waiting,), timeout=self.patience_s)
        if not done:
            raise self.impatient(future)
        if future.cancelled():
            raise self.ended()
        return waiting.result()
