"""What the pytest fixtures of `tenuto_pytest` do, which pytest finds by its entry point."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from tenuto.testing._control import BEGINNING, PATIENCE, GuardMode
from tenuto.testing.environment import WorkflowEnvironment
from tenuto.worker import WorkflowRuntime


class MakeEnvironment(Protocol):
    """The type of the fixture `workflow_env`."""

    def __call__(
        self,
        runtime: WorkflowRuntime,
        *,
        now: datetime = BEGINNING,
        guard: GuardMode = "raise",
        patience: timedelta = PATIENCE,
    ) -> WorkflowEnvironment:
        """An environment that has begun; arguments as those of `WorkflowEnvironment`."""
        ...


@contextmanager
def environments() -> Generator[MakeEnvironment]:
    """Makes environments, and ends them all at its own end."""
    with ExitStack() as opened:

        def make(
            runtime: WorkflowRuntime,
            *,
            now: datetime = BEGINNING,
            guard: GuardMode = "raise",
            patience: timedelta = PATIENCE,
        ) -> WorkflowEnvironment:
            return opened.enter_context(WorkflowEnvironment(runtime, now=now, guard=guard, patience=patience))

        yield make
