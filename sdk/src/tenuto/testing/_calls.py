"""What activities were called, and the fakes that may stand in for them."""

from __future__ import annotations

import asyncio
import difflib
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from tenuto._payloads import Payloads
from tenuto._replay.definitions import CallInfo, name_of, target_info
from tenuto._wire.management import UNSET
from tenuto._worker.registry import ActivityCode, Registry
from tenuto.activity import WorkflowActivityContext
from tenuto.errors import NonRetryableError, PayloadError
from tenuto_engine.ports.records import ActivityKey

Activity = Callable[..., Any] | str


@dataclass(slots=True)
class ActivityCall:
    """One run of an activity's code, or of its fake.

    Args:
        activity: its name.
        instance_id: the instance that called.
        number: the operation's number in its execution; runs of one call have the same.
        attempt: from 1; runs of one attempt have the same, where a crash let it run again.
        input: decoded by the activity's annotation.
        at: virtual time at which the run began.
        result: what it returned; None while it runs, or where it raised.
        error: what it raised, else None.
        is_running: whether it has not ended.
    """

    activity: str
    instance_id: str
    execution_id: str
    number: int
    attempt: int
    input: Any
    at: datetime
    result: Any = None
    error: BaseException | None = None
    is_running: bool = True

    @property
    def key(self) -> tuple[str, str, int]:
        """The call that this is a run of."""
        return self.instance_id, self.execution_id, self.number

    def __str__(self) -> str:
        if self.is_running:
            ending = "still runs"
        elif self.error is not None:
            ending = f"raised {self.error!r}"
        else:
            ending = f"returned {self.result!r}"
        return f"{self.activity}({self.input!r}), operation {self.number}, attempt {self.attempt}: {ending}"


class Book:
    """All runs of activities, in the order in which they began.

    Args:
        now_ms: virtual time.
        ran: called, with the activity's name, when a run has ended and before its worker says so.
    """

    def __init__(self, now_ms: Callable[[], int], ran: Callable[[str], None]) -> None:
        self.calls: list[ActivityCall] = []
        self._now_ms = now_ms
        self._ran = ran

    @contextmanager
    def run(self, context: WorkflowActivityContext, value: Any) -> Generator[ActivityCall]:
        """Write down one run, which puts its result into the call."""
        call = ActivityCall(
            activity=context.activity_name,
            instance_id=context.workflow_id,
            execution_id=context.execution_id,
            number=context.task_id,
            attempt=context.attempt,
            input=value,
            at=datetime.fromtimestamp(self._now_ms() / 1000, UTC),
        )
        self.calls.append(call)
        try:
            yield call
        except BaseException as error:
            call.error = error
            raise
        finally:
            call.is_running = False
            if not isinstance(call.error, asyncio.CancelledError):  # then its worker has crashed, or nobody waits
                self._ran(call.activity)


@dataclass(slots=True)
class Fake:
    """What stands in for an activity."""

    name: str
    result_type: Any
    returns: Any = UNSET
    raises: BaseException | type[BaseException] | None = None
    side_effect: Callable[..., Any] | None = None
    sequence: list[Any] | None = None
    hangs: bool = False
    _given: dict[tuple[tuple[str, str, int], int], int] = field(
        default_factory=dict[tuple[tuple[str, str, int], int], int]
    )
    _lock: Lock = field(default_factory=Lock)

    def outcome(self, call: ActivityCall) -> Any:
        """What one run comes to, where no side effect decides it. Raises what the fake is to raise."""
        if self.sequence is not None:
            return _produce(self._next(call, self.sequence))
        return _produce(self.returns if self.raises is None else self.raises)

    def arguments(self, context: WorkflowActivityContext, value: Any) -> tuple[Any, ...]:
        """What the side effect takes: nothing, the input, or context and input."""
        assert self.side_effect is not None
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        wanted = sum(each.kind in kinds for each in inspect.signature(self.side_effect).parameters.values())
        return (context, value) if wanted > 1 else (value,) * wanted

    def _next(self, call: ActivityCall, sequence: list[Any]) -> Any:
        """The outcome of this attempt: where a crash lets an attempt run again, it is the same."""
        with self._lock:
            number = self._given.setdefault((call.key, call.attempt), len(self._given))
        if number >= len(sequence):
            raise NonRetryableError(
                f"the fake of activity '{self.name}' has {len(sequence)} outcomes, and this is attempt {number + 1}; "
                "give its sequence more of them"
            )
        return sequence[number]


def _produce(outcome: Any) -> Any:
    if isinstance(outcome, BaseException):
        raise outcome
    error: Any = outcome
    if isinstance(outcome, type) and issubclass(error, BaseException):
        raise error
    return error


class Fakes:
    """The fakes of one environment, by the activities' names."""

    def __init__(self, registry: Registry, payloads: Payloads) -> None:
        self._registry = registry
        self._payloads = payloads
        self._fakes: dict[str, Fake] = {}

    @property
    def names(self) -> Iterable[str]:
        """Whom they stand in for."""
        return self._fakes.keys()

    def check_used(self, calls: Iterable[ActivityCall]) -> None:
        """See that what nobody here has registered was called: else its name is most likely a mistake.

        Raises:
            AssertionError: a fake stood in for nothing; the message has the nearest name that is registered.
        """
        known = sorted(self._registry.activities)
        called = {call.activity for call in calls}
        for name in self._fakes:
            if name not in known and name not in called:
                near = difflib.get_close_matches(name, known, n=1)
                meant = f"did you mean '{near[0]}'?" if near else f"registered are: {', '.join(known) or 'none'}"
                raise AssertionError(
                    f"the fake of activity '{name}' was never called, and no activity is registered by that name; "
                    f"{meant}"
                )

    def get(self, name: str) -> Fake | None:
        """The fake of an activity, None where it has none."""
        return self._fakes.get(name)

    def set(self, activity: Activity, **behaviour: Any) -> bool:
        """Let a fake stand in for an activity; says whether the name was unknown before.

        Raises:
            TypeError: none or several ways to behave are given.
            PayloadError: what it returns does not fit the activity's annotation.
        """
        chosen = [
            name for name, value in behaviour.items() if value is not UNSET and value is not None and value is not False
        ]
        if behaviour["returns"] is None:
            chosen.append("returns")
        if len(chosen) != 1:
            raise TypeError(
                "give a fake one way to behave: returns=, raises=, side_effect=, sequence= or hangs=True; "
                f"given: {', '.join(sorted(chosen)) or 'none'}"
            )
        name = name_of(activity)
        known: Mapping[str, CallInfo] = self._registry.activities
        result_type = (known.get(name) or target_info("activity", activity)).result_type
        fake = Fake(name, result_type, **behaviour)
        if "returns" in chosen:
            self.check(fake, fake.returns)
        for outcome in fake.sequence or ():
            if not isinstance(outcome, BaseException) and not isinstance(outcome, type):
                self.check(fake, outcome)
        is_new = name not in known and name not in self._fakes
        self._fakes[name] = fake
        return is_new

    def check(self, fake: Fake, value: Any) -> None:
        """See that a result passes through the activity's annotation. Raises `PayloadError`."""
        what = f"result of the fake of activity '{fake.name}'"
        self._payloads.load(self._payloads.dump(value, what=what), fake.result_type, what=what)

    def fitting(self, fake: Fake, value: Any) -> Any:
        """The result of a run, which must fit: no further attempt would mend that."""
        try:
            self.check(fake, value)
        except PayloadError as error:
            raise NonRetryableError(str(error)) from error
        return value


class RecordingRegistry(Registry):
    """A runtime's code, with each activity's runs written down, and fakes where there are some.

    Args:
        source: the runtime's own; it stays as it is.
        book: where runs are written down.
        fakes: asked at each call, so that a test may change them.
        rest: told that an attempt of a call hangs, and that it does no longer.
    """

    def __init__(
        self, source: Registry, book: Book, fakes: Fakes, rest: Callable[[tuple[ActivityKey, int], bool], None]
    ) -> None:
        super().__init__()
        self._workflows = source._workflows
        self._activities = source._activities
        self._calls = source._calls
        self._book = book
        self._fakes = fakes
        self._rest = rest

    @property
    def activity_names(self) -> list[str]:
        """Names of the activities that can be run, sorted."""
        return sorted({*self._activities, *self._fakes.names})

    def activity(self, name: str) -> ActivityCode | None:
        """The code of an activity as it is to be run now."""
        code, fake = super().activity(name), self._fakes.get(name)
        if fake is not None:
            return self._faked(fake, Any if code is None else code.input_type)
        return None if code is None else self._recorded(code)

    def _recorded(self, code: ActivityCode) -> ActivityCode:
        book = self._book

        def arguments(context: WorkflowActivityContext, value: Any) -> tuple[Any, ...]:
            given = (context,) if code.takes_context else ()
            return (context, value) if code.takes_input else given

        def run(context: WorkflowActivityContext, value: Any) -> Any:
            with book.run(context, value) as call:
                call.result = code.function(*arguments(context, value))
            return call.result

        async def run_async(context: WorkflowActivityContext, value: Any) -> Any:
            with book.run(context, value) as call:
                call.result = await code.function(*arguments(context, value))
            return call.result

        return _code(code.name, run_async if code.is_async else run, code.input_type)

    def _faked(self, fake: Fake, input_type: Any) -> ActivityCode:
        function = fake.side_effect

        def run(context: WorkflowActivityContext, value: Any) -> Any:
            assert function is not None
            with self._book.run(context, value) as call:
                call.result = self._fakes.fitting(fake, function(*fake.arguments(context, value)))
            return call.result

        async def run_async(context: WorkflowActivityContext, value: Any) -> Any:
            with self._book.run(context, value) as call:
                if fake.hangs:
                    await self._hang(context)
                result = await function(*fake.arguments(context, value)) if function else fake.outcome(call)
                call.result = self._fakes.fitting(fake, result)
            return call.result

        # As for real ones: what is no coroutine may block, and runs in a thread.
        is_async = function is None or inspect.iscoroutinefunction(function)
        return _code(fake.name, run_async if is_async else run, input_type)

    async def _hang(self, context: WorkflowActivityContext) -> None:
        """Rest until cancelled. Time need not stand still for a call that does nothing."""
        attempt = ActivityKey(context.task_id, context.execution_id, context.workflow_id), context.attempt
        self._rest(attempt, True)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._rest(attempt, False)


def _code(name: str, function: Callable[..., Any], input_type: Any) -> ActivityCode:
    return ActivityCode(
        function=function,
        name=name,
        is_async=inspect.iscoroutinefunction(function),
        takes_context=True,
        takes_input=True,
        input_type=input_type,
    )
