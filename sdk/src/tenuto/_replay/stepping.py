"""User code, stepped by hand: a generator, a coroutine, or a plain function that never waits."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import CoroutineType, GeneratorType
from typing import Any, TypeGuard

import msgspec

from tenuto._replay.operations import InstanceDropped, source_of
from tenuto._replay.tasks import SettableTask, Task

_OWN_FOLDER = __file__.rpartition("_replay")[0]


class Returned(msgspec.Struct, frozen=True):
    """The code ended with a result."""

    value: Any


class Raised(msgspec.Struct, frozen=True):
    """The code ended with an error."""

    error: BaseException


class SteppedCode:
    """Runs until the code waits for a task that is not complete, or ends; `ending` then says how."""

    __slots__ = ("_code", "_waiting", "ending")

    def __init__(self) -> None:
        self._code: Generator[Any, Any, Any] | None = None
        self._waiting: Task[Any] | None = None
        self.ending: Returned | Raised | None = None

    def begin(self, call: Callable[[], Any]) -> None:
        """Calls the function and runs its code until it waits or ends."""
        started = self._guarded(lambda _: call(), None)
        if self.ending is not None:
            return
        if not _is_steppable(started):
            self.ending = Returned(started)
            return
        self._code = started
        self._take(self._guarded(started.send, None))
        self.advance()

    def advance(self) -> None:
        """Goes on as far as complete tasks allow."""
        code = self._code
        while (waiting := self._waiting) is not None and waiting.is_complete and code is not None:
            self._waiting = None
            error = waiting.get_exception()
            if error is None:
                self._take(self._guarded(code.send, waiting.get_result()))
            else:
                # The same error may be raised at several waits; frames of the former ones would mislead.
                self._take(self._guarded(code.throw, error.with_traceback(None)))

    def place(self) -> str:
        """The line of user code at which it waits, as "folder/file.py:12"; empty where it has ended."""
        frame, inner = None, self._code
        while inner is not None:
            found = getattr(inner, "gi_frame", None) or getattr(inner, "cr_frame", None)
            if found is not None and not found.f_code.co_filename.startswith(_OWN_FOLDER):
                frame = found
            inner = getattr(inner, "gi_yieldfrom", None) or getattr(inner, "cr_await", None)
        return "" if frame is None else source_of(frame.f_code.co_filename, frame.f_lineno)

    def close(self) -> None:
        """Drops the code where it stands. The caller has seen to it that the context answers no more."""
        code, self._code = self._code, None
        self._waiting = None
        if code is None:
            return
        try:
            code.close()
        except BaseException as error:  # Clean-up code of the user may raise anything, and nobody is there to read it.
            if isinstance(error, KeyboardInterrupt):
                raise

    def _guarded(self, step: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return step(argument)
        except StopIteration as stop:
            self.ending = Returned(stop.value)
        except (KeyboardInterrupt, InstanceDropped):
            raise
        except BaseException as error:  # Whatever user code raises, SystemExit included, ends its execution alone.
            self.ending = Raised(error)
        return None

    def _take(self, yielded: Any) -> None:
        if self.ending is not None:
            self._code = None
        elif isinstance(yielded, Task):
            self._waiting = yielded
        else:
            refusal: SettableTask[None] = SettableTask()
            refusal.fail(_refuse(yielded))
            self._waiting = refusal


def _is_steppable(value: object) -> TypeGuard[Generator[Any, Any, Any]]:
    return isinstance(value, (GeneratorType, CoroutineType))


def _refuse(yielded: Any) -> TypeError:
    is_several = isinstance(yielded, (list, tuple))
    hint = "wait for several with when_all or when_any" if is_several else "everything else belongs into an activity"
    kind: Any = type(yielded)  # pyright: ignore[reportUnknownVariableType]  # of a list, its members' type is unknown
    return TypeError(
        f"a workflow waits only for tasks made by its context, but waited for a {kind.__module__}.{kind.__qualname__}; "
        f"{hint}"
    )
