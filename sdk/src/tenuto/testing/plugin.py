"""What the pytest fixtures of `tenuto_pytest` do, which pytest finds by its entry point."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from tenuto.testing.environment import WorkflowEnvironment
from tenuto.worker import WorkflowRuntime


class MakeEnvironment(Protocol):
    """The type of the fixture `workflow_env`."""

    def __call__(
        self, runtime: WorkflowRuntime, *, now: datetime | None = None, patience: timedelta | None = None
    ) -> WorkflowEnvironment:
        """An environment that has begun; arguments as those of `WorkflowEnvironment`, None for its defaults."""
        ...


@contextmanager
def environments() -> Generator[MakeEnvironment]:
    """Makes environments, and ends them all at its own end."""
    with ExitStack() as opened:

        def make(
            runtime: WorkflowRuntime, *, now: datetime | None = None, patience: timedelta | None = None
        ) -> WorkflowEnvironment:
            given = {"now": now, "patience": patience}
            options = {name: value for name, value in given.items() if value is not None}
            return opened.enter_context(WorkflowEnvironment(runtime, **options))  # type: ignore[arg-type]  # each has the type of its name

        yield make
