"""What a workflow or activity function takes and gives, read once from its annotations."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any

from tenuto.errors import RegistrationError

_RESULT_POSITION = {Generator: 2, Coroutine: 2, Awaitable: 0}


@dataclass(frozen=True, slots=True)
class Signature:
    """How to call a function, and the types of its payloads (Any where it does not say).

    Args:
        takes_context: it has a parameter for the context.
        takes_input: it has a parameter for the input.
        input_type: annotation of the input.
        result_type: what it finally gives: R of `-> R`, of `-> Generator[..., ..., R]` and of `-> Awaitable[R]`.
        unresolved: annotations, as text, that could not be resolved and count as Any.
    """

    takes_context: bool
    takes_input: bool
    input_type: Any
    result_type: Any
    unresolved: tuple[str, ...] = ()


def inspect_function(function: Callable[..., Any]) -> Signature:
    """Reads a function of the form `(ctx)` or `(ctx, input)`.

    Raises:
        RegistrationError: it needs more than a context and one input, or cannot be called with them.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{function!r} cannot be registered: its signature is unknown ({error})") from error
    name = getattr(function, "__qualname__", repr(function))
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    surplus = [p.name for p in positional[2:] if p.default is p.empty]
    surplus += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if surplus:
        raise RegistrationError(
            f"{name} needs the parameters {', '.join(surplus)} beyond (ctx, input); pass one input that holds "
            "them all, such as a dataclass"
        )
    hints, unresolved = _resolve_hints(function)
    takes_input = len(positional) > 1 or open_ended
    input_type = hints.get(positional[1].name, Any) if len(positional) > 1 else Any
    return Signature(
        takes_context=bool(positional) or open_ended,
        takes_input=takes_input,
        input_type=input_type,
        result_type=_final_result(hints.get("return", Any)),
        unresolved=unresolved,
    )


def _resolve_hints(function: Callable[..., Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    target: Any = inspect.unwrap(function)
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = target.__call__  # A callable object: its annotations stand at its method.
    try:
        return typing.get_type_hints(target, include_extras=True), ()
    except (NameError, TypeError, AttributeError):
        # A name known only to type checkers, or local to a function: what is no text can still be used.
        own: dict[str, Any] = getattr(target, "__annotations__", {})
        unresolved = tuple(value for value in own.values() if isinstance(value, str))
        return {key: value for key, value in own.items() if not isinstance(value, str)}, unresolved


def _final_result(annotation: Any) -> Any:
    position = _RESULT_POSITION.get(typing.get_origin(annotation))
    if position is None:
        return annotation
    arguments = typing.get_args(annotation)
    return arguments[position] if len(arguments) > position else Any
