"""What is known of an activity or workflow function beside its code: its name, its types, its default options.

A function carries this as attributes, so that `ctx.call_activity(charge)` finds it without a registry.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec

from tenuto._payloads import inspect_function
from tenuto._replay import events
from tenuto._replay.policy import RetryPolicy, optional_milliseconds
from tenuto.errors import RegistrationError

_NAME_ATTRIBUTE = "__tenuto_name__"
_CALL_ATTRIBUTE = "__tenuto_call__"


class ActivityOptions(msgspec.Struct, frozen=True):
    """How an activity is called where the call itself does not say; times in milliseconds, 0 means none."""

    retry: events.RetryPolicy | None = None
    start_to_close_ms: int = 0
    schedule_to_close_ms: int = 0
    heartbeat_ms: int = 0


NO_OPTIONS = ActivityOptions()


class CallInfo(msgspec.Struct, frozen=True):
    """What a call needs to know of its target, prepared once: name, result type, texts for errors, options."""

    name: str
    result_type: Any
    input_text: str
    result_text: str
    options: ActivityOptions = NO_OPTIONS


def make_options(
    *,
    retry_policy: RetryPolicy | None,
    start_to_close_timeout: timedelta | None,
    schedule_to_close_timeout: timedelta | None,
    heartbeat_timeout: timedelta | None,
    default: ActivityOptions = NO_OPTIONS,
) -> ActivityOptions:
    """Options as given, where None takes the default's. Raises TypeError or ValueError naming the parameter."""
    start_to_close_ms = optional_milliseconds(start_to_close_timeout, what="start_to_close_timeout")
    schedule_to_close_ms = optional_milliseconds(schedule_to_close_timeout, what="schedule_to_close_timeout")
    heartbeat_ms = optional_milliseconds(heartbeat_timeout, what="heartbeat_timeout")
    return ActivityOptions(
        retry=default.retry if retry_policy is None else retry_policy.wire,
        start_to_close_ms=start_to_close_ms or default.start_to_close_ms,
        schedule_to_close_ms=schedule_to_close_ms or default.schedule_to_close_ms,
        heartbeat_ms=heartbeat_ms or default.heartbeat_ms,
    )


def call_info(kind: str, name: str, *, result_type: Any = Any, options: ActivityOptions = NO_OPTIONS) -> CallInfo:
    """Prepares the calls of one activity or workflow; `kind` is "activity" or "child workflow"."""
    return CallInfo(
        name=name,
        result_type=result_type,
        input_text=f"input of {kind} '{name}'",
        result_text=f"result of {kind} '{name}'",
        options=options,
    )


_named = lru_cache(maxsize=4096)(call_info)


def target_info(kind: str, target: Callable[..., Any] | str) -> CallInfo:
    """What is known of a call's target; of a name alone, just the name.

    Raises:
        TypeError: the target is neither a function nor a name.
    """
    if isinstance(target, str):
        if not target:
            raise ValueError(f"the name of the {kind} is empty")
        return _named(kind, target)
    known: dict[str, CallInfo] | None = getattr(target, _CALL_ATTRIBUTE, None)
    if known is not None and kind in known:
        return known[kind]
    if not callable(target):
        raise TypeError(f"expected a function or a name as {kind}, got {type(target).__qualname__}")
    return _unregistered(kind, target)


@lru_cache(maxsize=4096)
def _unregistered(kind: str, target: Callable[..., Any]) -> CallInfo:
    """A function that another process registers: its annotations still say the result's type."""
    return call_info(kind, name_of(target), result_type=inspect_function(target).result_type)


def name_of(target: Callable[..., Any] | str) -> str:
    """The name under which a workflow or activity is registered, else the function's own.

    Raises:
        TypeError: it is neither a name nor a function with one.
    """
    if isinstance(target, str):
        return target
    name = getattr(target, _NAME_ATTRIBUTE, None) or getattr(target, "__name__", None)
    if not isinstance(name, str):
        raise TypeError(f"expected a function or a name, got {target!r}; register it with name=")
    return name


def declare_name(function: Callable[..., Any], name: str) -> None:
    """Binds a function to the name it is registered under, so that callers need not repeat it.

    Raises:
        RegistrationError: the function already has another name, or cannot carry one.
    """
    present = getattr(function, _NAME_ATTRIBUTE, None)
    if present is not None and present != name:
        raise RegistrationError(
            f"function {function!r} is already named '{present}', so it cannot be registered as '{name}' too; "
            "callers would not know which one they call"
        )
    _set(function, _NAME_ATTRIBUTE, name, needed=name != getattr(function, "__name__", None))


def declare_call(function: Callable[..., Any], kind: str, info: CallInfo) -> None:
    """Lets calls of `function` find their options and result type."""
    known: dict[str, CallInfo] = getattr(function, _CALL_ATTRIBUTE, {})
    _set(function, _CALL_ATTRIBUTE, {**known, kind: info}, needed=info.options != NO_OPTIONS)


def is_activity(function: Callable[..., Any]) -> bool:
    """Whether the function is registered as an activity, by any runtime."""
    return "activity" in getattr(function, _CALL_ATTRIBUTE, {})


def _set(function: Callable[..., Any], attribute: str, value: object, *, needed: bool) -> None:
    holder = getattr(function, "__func__", function)  # A bound method carries attributes at its function.
    try:
        setattr(holder, attribute, value)
    except (AttributeError, TypeError):
        if needed:
            raise RegistrationError(
                f"{function!r} cannot carry a name or options of its own; wrap it in a function"
            ) from None
