"""What the blocking and the awaitable environment have in common: all that needs no waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from tenuto._wire.management import UNSET
from tenuto.testing._calls import Activity
from tenuto.testing._control import Control
from tenuto.testing._driving import Driver
from tenuto.testing._faults import Party


class BaseEnvironment:
    """Fakes, faults and the clock of an environment.

    Args:
        control: its parts.
        driver: says whether it may be used now.
    """

    def __init__(self, control: Control, driver: Driver) -> None:
        self._control = control
        self._usage = driver

    @property
    def now(self) -> datetime:
        """Virtual time; UTC."""
        return datetime.fromtimestamp(self._control.engines.now_ms / 1000, UTC)

    # -- fakes ---------------------------------------------------------------------------------------------------------

    def fake_activity(
        self,
        activity: Activity,
        *,
        returns: Any = UNSET,
        raises: BaseException | type[BaseException] | None = None,
        side_effect: Callable[..., Any] | None = None,
        sequence: Sequence[Any] | None = None,
        hangs: bool = False,
    ) -> None:
        """Let a fake stand in for an activity from now on; the last one given counts. Exactly one way to behave.

        Retries, timeouts and recording are the engine's, as for the real one. A result must fit the annotation of the
        activity it stands in for, for a real one could not return anything else.

        Args:
            activity: the function, or the name of an activity that another process registers. A name that was not
                known before makes the worker start anew, so give it before its workflow starts; if it is never called,
                the environment's end says so, for then it is most likely mistyped.
            returns: the result of every call.
            raises: the error of every attempt.
            side_effect: called with nothing, `(input)` or `(ctx, input)`, as many as it takes; its result or error is
                the activity's. A `def` runs in a thread, an `async def` on the worker's event loop.
            sequence: what the attempts come to, one after another: errors are raised, all else is returned. A further
                attempt fails for good.
            hangs: never answers. Time does not stand still for it, so its timeouts take effect.

        Raises:
            TypeError: none or several ways to behave are given.
            PayloadError: a result does not fit the activity's annotation.
        """
        self._usage.require()
        is_new = self._control.fakes.set(
            activity,
            returns=returns,
            raises=raises,
            side_effect=side_effect,
            sequence=None if sequence is None else list(sequence),
            hangs=hangs,
        )
        if is_new and self._control.engines.wants_worker:
            self._control.put_worker()  # a worker says what it can run when it connects

    # -- faults --------------------------------------------------------------------------------------------------------

    def crash_worker(self, at: str = "", *, nth: int = 1) -> None:
        """Crash the worker, now or at a place to come; another one is there at once, and replays from history.

        What it ran is lost, live instances and undelivered results included; threads of activities run on unheard.

        Args:
            at: a name in `CRASH_PLACES`; empty: now. `activity:ran` is the moment in which an activity has run and
                nobody knows.
            nth: at which time from now that the place is reached, from 1.

        Raises:
            ValueError: there is no such place.
        """
        self._usage.require()
        if at:
            self._control.plan(Party.WORKER, at, nth)
        else:
            self._control.drop_worker()

    def stop_worker(self) -> None:
        """Crash the worker and leave its place empty until `start_worker`."""
        self._usage.require()
        self._control.take_worker()

    def start_worker(self) -> None:
        """Put a worker in the place of one that was stopped."""
        self._usage.require()
        self._control.put_worker()

    def fail_store(self, *, writes: int = 1) -> None:
        """Let the store refuse the next so many groups of writes; engine and clients try again."""
        self._control.engines.writes_to_refuse += writes
