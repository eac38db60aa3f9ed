"""Exceptions to recorded failures and back.

A recorded failure names the error's class and its bases (so that a retry policy may name either), its message, the
frames of user code, and the chain of causes. Sizes are bounded: a failure must always fit into history.
"""

from __future__ import annotations

import traceback
from types import TracebackType

from tenuto._replay.events import Failure
from tenuto.errors import FailureDetails, NonRetryableError, TaskFailedError, WorkflowFailed

MAX_CAUSES = 10
# Arbitrary, and far below the limit of a payload; a message or trace beyond this no longer helps a reader.
MAX_MESSAGE_CHARACTERS = 8_000
MAX_STACK_CHARACTERS = 16_000
MAX_FRAMES = 50

_OWN_FOLDER = __file__.replace("\\", "/").rpartition("/_replay/")[0] + "/"
_UNINTERESTING_BASES = (object, BaseException, Exception)


def from_exception(error: BaseException, *, depth: int = MAX_CAUSES) -> Failure:
    """Describes an exception raised by user code, with at most `depth` causes."""
    return Failure(
        type=qualified_name(type(error)),
        message=_bounded(_message(error), MAX_MESSAGE_CHARACTERS),
        stack=_bounded(_user_frames(error.__traceback__), MAX_STACK_CHARACTERS),
        cause=_cause(error, depth - 1) if depth > 0 else None,
        non_retryable=isinstance(error, NonRetryableError),
        bases=[qualified_name(base) for base in type(error).__mro__[1:] if base not in _UNINTERESTING_BASES],
    )


def _cause(error: BaseException, depth: int) -> Failure | None:
    if isinstance(error, (TaskFailedError, WorkflowFailed)):
        return from_details(error.details, depth=depth)
    behind = error.__cause__
    if behind is None and not error.__suppress_context__:
        behind = error.__context__
    return None if behind is None else from_exception(behind, depth=depth)


def from_details(details: FailureDetails, *, depth: int = MAX_CAUSES) -> Failure:
    """The recorded form of `details`, with at most `depth` causes."""
    cause = details.cause
    return Failure(
        type=details.error_type,
        message=details.message,
        stack=details.stack_trace,
        cause=from_details(cause, depth=depth - 1) if cause is not None and depth > 0 else None,
        non_retryable=details.non_retryable,
        bases=list(details.bases),
    )


def to_details(failure: Failure) -> FailureDetails:
    """What users see of a recorded failure."""
    return FailureDetails(
        message=failure.message,
        error_type=failure.type,
        stack_trace=failure.stack,
        cause=None if failure.cause is None else to_details(failure.cause),
        non_retryable=failure.non_retryable,
        bases=tuple(failure.bases),
    )


def qualified_name(cls: type) -> str:
    """`module.Class`; built-in classes by their bare name."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _message(error: BaseException) -> str:
    if isinstance(error, KeyError) and len(error.args) == 1:
        return repr(error.args[0])
    try:
        return str(error)
    except (TypeError, ValueError, AttributeError):  # A broken __str__ must not hide that the code failed.
        return f"<{type(error).__qualname__} without a readable message>"


def _user_frames(trace: TracebackType | None) -> str:
    frames = [
        frame for frame in traceback.extract_tb(trace) if not frame.filename.replace("\\", "/").startswith(_OWN_FOLDER)
    ]
    return "".join(traceback.format_list(frames[-MAX_FRAMES:]))


def _bounded(text: str, limit: int) -> str:
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n... {len(text) - limit} characters left out ...\n{text[-limit // 2 :]}"
    # Lone surrogates, as in undecodable file names, have no UTF-8 form.
    return text.encode("utf-8", "replace").decode()
