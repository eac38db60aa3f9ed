"""User code, stepped by hand: a generator, a coroutine, or a plain function that never waits."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from types import CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, Protocol, TypeGuard

import msgspec

from tenuto._replay.operations import InstanceDropped, source_of
from tenuto._replay.tasks import SettableTask, Task

_OWN_FOLDER = __file__.rpartition("_replay")[0]


class StepWatch(Protocol):
    """Watches one execution's code while it runs, and only then.

    Around each step: `enter`, `resume`, the step, `pause`, `leave`. The inner pair is apart so that it can be C code,
    which makes no call that a hook would see; the context uses it, too, while it works for user code.
    """

    @property
    def pause(self) -> Callable[[], object]:
        """What follows is not user code's. Without effect between steps."""
        ...

    @property
    def resume(self) -> Callable[[], object]:
        """What follows is user code's. Without effect between steps."""
        ...

    def enter(self) -> None:
        """A step of user code is about to begin."""
        ...

    def leave(self) -> None:
        """The step is over, however it ended.

        Raises:
            GuardViolation: the step did what is refused, whatever its code made of the refusal.
        """
        ...


class Returned(msgspec.Struct, frozen=True):
    """The code ended with a result."""

    value: Any


class Raised(msgspec.Struct, frozen=True):
    """The code ended with an error."""

    error: BaseException


class SteppedCode:
    """Runs until the code waits for a task that is not complete, or ends; `ending` then says how.

    Args:
        watch: told of each step; what its `leave` raises passes through `begin` and `advance`.
    """

    __slots__ = ("_code", "_send", "_waiting", "_watch", "ending")

    def __init__(self, watch: StepWatch | None = None) -> None:
        self._watch = watch
        self._code: Generator[Any, Any, Any] | None = None
        self._send: Callable[[Any], Any] | None = None
        self._waiting: Task[Any] | None = None
        self.ending: Returned | Raised | None = None

    def begin(self, prepare: Callable[[], Callable[[], Any]]) -> None:
        """Calls the function that `prepare` gives, and runs its code until it waits or ends.

        An error of `prepare` ends the code as one of its own would.
        """
        call = self._step(None, prepare)
        started = None if self.ending is not None else self._step(self._watch, call)
        if self.ending is not None:
            return
        if not _is_steppable(started):
            self.ending = Returned(started)
            return
        self._code = started
        self._send = partial(started.send)  # A partial is called without an event that a watch would see.
        self._take(self._step(self._watch, self._send, None))
        self.advance()

    def advance(self) -> None:
        """Goes on as far as complete tasks allow."""
        code, send = self._code, self._send
        while (waiting := self._waiting) is not None and waiting.is_complete and code is not None and send is not None:
            self._waiting = None
            error = waiting.get_exception()
            if error is None:
                self._take(self._step(self._watch, send, waiting.get_result()))
            else:
                # The same error may be raised at several waits; frames of the former ones would mislead.
                self._take(self._step(self._watch, code.throw, error.with_traceback(None)))

    def frames(self) -> list[FrameType]:
        """The frames of user code that wait, the workflow's own first; none where it has ended."""
        found: list[FrameType] = []
        inner: object = self._code
        while inner is not None:
            frame = getattr(inner, "gi_frame", None) or getattr(inner, "cr_frame", None)
            if frame is not None and not frame.f_code.co_filename.startswith(_OWN_FOLDER):
                found.append(frame)
            inner = getattr(inner, "gi_yieldfrom", None) or getattr(inner, "cr_await", None)
        return found

    def place(self) -> str:
        """The line of user code at which it waits, as "folder/file.py:12"; empty where it has ended."""
        frames = self.frames()
        return source_of(frames[-1].f_code.co_filename, frames[-1].f_lineno) if frames else ""

    @property
    def waiting(self) -> Task[Any] | None:
        """What it waits for; None where it has ended."""
        return self._waiting

    def close(self) -> None:
        """Drops the code where it stands. The caller has seen to it that the context answers no more."""
        code, self._code = self._code, None
        self._send = self._waiting = None
        if code is None:
            return
        try:
            code.close()
        except BaseException as error:  # Clean-up code of the user may raise anything, and nobody is there to read it.
            if isinstance(error, KeyboardInterrupt):
                raise

    @classmethod
    def step_code(cls) -> CodeType:
        """Of the frame below which everything is user code's, for who looks at a stack."""
        return cls._step.__code__

    def _step(self, watch: StepWatch | None, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            if watch is not None:
                watch.enter()
                watch.resume()
            return step(*arguments)
        except StopIteration as stop:
            self.ending = Returned(stop.value)
        except (KeyboardInterrupt, InstanceDropped):
            raise
        except BaseException as error:  # Whatever user code raises, SystemExit included, ends its execution alone.
            self.ending = Raised(error)
        finally:
            if watch is not None:
                watch.pause()
                watch.leave()
        return None

    def _take(self, yielded: Any) -> None:
        if self.ending is not None:
            self._code = self._send = None
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
