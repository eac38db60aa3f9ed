"""Tasks: what a workflow waits for.

A task completes once, with a result or an error, and tells those who watch it. Nothing here knows of history or of the
engine; the executor completes tasks as it meets their events, in the order of history.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar, cast, overload

from tenuto.errors import TaskCancelledError

T = TypeVar("T")


class Task(Generic[T]):
    """Something that a workflow can wait for: `yield` it in a generator, `await` it in an `async def`."""

    __slots__ = ("_complete", "_error", "_value", "_watchers")

    def __init__(self) -> None:
        self._complete = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._watchers: list[Callable[[Task[Any]], None]] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the task has a result or an error."""
        return self._complete

    @property
    def is_failed(self) -> bool:
        """Whether the task completed with an error."""
        return self._error is not None

    def get_result(self) -> T:
        """The result.

        Raises:
            ValueError: the task is not complete; `yield` or `await` it first.
            TaskFailedError: the activity or child workflow failed; other tasks raise the error they failed with.
        """
        if not self._complete:
            raise ValueError("the task is not complete; yield or await it first")
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def get_exception(self) -> BaseException | None:
        """The error, or None where the task has a result.

        Raises:
            ValueError: the task is not complete; `yield` or `await` it first.
        """
        if not self._complete:
            raise ValueError("the task is not complete; yield or await it first")
        return self._error

    def watch(self, watcher: Callable[[Task[Any]], None]) -> None:
        """Calls `watcher` with this task once it completes; at once where it has."""
        if self._complete:
            watcher(self)
        elif self._watchers is None:
            self._watchers = [watcher]
        else:
            self._watchers.append(watcher)

    def __await__(self) -> Generator[Task[T], Any, T]:
        return cast("T", (yield self))

    def _settle(self, value: Any, error: BaseException | None) -> None:
        self._complete = True
        self._value = value
        self._error = error
        watchers = self._watchers
        if watchers is not None:
            self._watchers = None
            for watcher in watchers:
                watcher(self)


class SettableTask(Task[T]):
    """A task that the executor completes."""

    __slots__ = ()

    def complete(self, value: Any) -> None:
        """Gives the task its result; without effect where it is complete."""
        if not self._complete:
            self._settle(value, None)

    def fail(self, error: BaseException) -> None:
        """Gives the task its error; without effect where it is complete."""
        if not self._complete:
            self._settle(None, error)


class CancellableTask(SettableTask[T]):
    """A timer or a wait for an event, which the workflow may give up."""

    __slots__ = ("_on_cancel",)

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        super().__init__()
        self._on_cancel = on_cancel

    def cancel(self) -> bool:
        """Gives up waiting: the timer never fires, the event goes to whoever waits next.

        Waiting for the task after this raises `TaskCancelledError`.

        Returns:
            False where the task had already completed, and nothing changed.
        """
        if self._complete:
            return False
        self._on_cancel()
        self._settle(None, TaskCancelledError("the workflow cancelled what it waits for"))
        return True


class _WhenAll(Task[list[T]]):
    __slots__ = ("_members", "_missing")

    def __init__(self, members: list[Task[T]]) -> None:
        super().__init__()
        self._members = members
        self._missing = len(members)
        if not members:
            self._settle([], None)
        for member in members:
            member.watch(self._member_completed)

    def _member_completed(self, member: Task[Any]) -> None:
        self._missing -= 1
        if self._complete:
            return
        error = member.get_exception()
        if error is not None:
            self._settle(None, error)
        elif self._missing == 0:
            self._settle([each.get_result() for each in self._members], None)


class _WhenAny(Task[Task[T]]):
    __slots__ = ()

    def __init__(self, members: list[Task[T]]) -> None:
        super().__init__()
        for member in members:
            member.watch(self._member_completed)

    def _member_completed(self, member: Task[Any]) -> None:
        if not self._complete:
            self._settle(member, None)


def when_all(tasks: Iterable[Task[T]]) -> Task[list[T]]:
    """A task that completes with all results, in the order given, or fails with the first failure.

    The other tasks go on after a failure; of none, the result is an empty list at once.
    """
    return _WhenAll(_checked(tasks))


@overload
def when_any(tasks: Iterable[Task[T]]) -> Task[Task[T]]: ...
@overload
def when_any(tasks: Iterable[Task[Any]]) -> Task[Task[Any]]: ...
def when_any(tasks: Iterable[Task[Any]]) -> Task[Task[Any]]:
    """A task that completes with the first of `tasks` that completes or fails; ask that one for its result.

    The others go on: cancel a timer or a wait for an event that lost with its `cancel()`.

    Raises:
        ValueError: there are no tasks, so none could ever complete.
    """
    members = _checked(tasks)
    if not members:
        raise ValueError("when_any needs at least one task")
    return _WhenAny(members)


def _checked(tasks: Iterable[Task[T]]) -> list[Task[T]]:
    members = list(tasks)
    for member in members:
        if not isinstance(member, Task):  # pyright: ignore[reportUnnecessaryIsInstance]  # users may pass anything
            raise TypeError(f"expected tasks made by the workflow's context, got {type(member).__qualname__}")
    return members
