"""One call of the management API as a value, and what to do when it fails: pure, shared by both clients.

A client only sends: it takes a `Call`, invokes its method, and gives the answer to `Call.read`. Where the
attempt failed it asks `Attempts`, which either says how long to wait before the same request is sent again, or
raises the error that the caller of the client sees. Commands carry an id with one effect, so a repeat is safe
inside the engine's de-duplication window. Clock and randomness stay with the clients.
Source: architecture section 3 (de-duplication); proto/tenuto/v1/management.proto.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

import grpc

from tenuto.errors import (
    AccessDenied,
    EngineUnavailable,
    InstanceExists,
    InstanceNotFound,
    InvalidRequest,
    LimitExceeded,
    OutcomeUnknown,
    PreconditionFailed,
    RequestError,
)

R_co = TypeVar("R_co", covariant=True)

# How long one attempt may take. An engine that lost its store answers sooner with UNAVAILABLE.
ATTEMPT_TIMEOUT_S: Final = 15.0
# The engine forgets command ids after 2 minutes; the last attempt must arrive, and be answered, before that.
MAX_RETRY_WINDOW_S: Final = 100.0
DEFAULT_RETRY_WINDOW_S: Final = 60.0
_FIRST_DELAY_S: Final = 0.05
_MAX_DELAY_S: Final = 2.0

_ERRORS: Final[dict[grpc.StatusCode, type[RequestError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: InstanceNotFound,
    grpc.StatusCode.ALREADY_EXISTS: InstanceExists,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionFailed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceeded,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
}
# CANCELLED is what a call sees whose engine stops while it is being answered.
_REPEATABLE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
# What `grpc.aio` itself says, under INTERNAL, of a call whose connection broke while it was being written.
_BROKEN_IN_CORE: Final = "Internal error from Core"
# gRPC has no code for "nothing was done"; these are the words of its core for a connection that was never made, and the
# engine's for a command that its store refused.
_REFUSED_BY_STORE: Final = "not executed: "
_NOT_EXECUTED: Final = (
    "failed to connect to all addresses",
    "dns resolution failed",
    "name resolution failure",
    _REFUSED_BY_STORE,
)


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: its path, how to encode the request and decode an answer, and whether answers are a stream."""

    path: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """A request ready to send.

    Args:
        method: the RPC.
        request: the protobuf request, the same object for every attempt.
        read: turns the answer (a list of answers, where the method streams) into the client's result.
        instance_id: for error messages; empty where none is concerned.
        is_command: the request changes something, so that a lost answer leaves the outcome unknown.
        timeout_s: how long one attempt may take.
        window_s: overrides how long attempts are repeated; None leaves it to the client.
    """

    method: Method
    request: Any
    read: Callable[[Any], R_co]
    instance_id: str = ""
    is_command: bool = False
    timeout_s: float = ATTEMPT_TIMEOUT_S
    window_s: float | None = None


def check_retry_window(window_s: float) -> float:
    """Return the window, in seconds within [0, 100].

    Raises:
        ValueError: it is outside; beyond it a repeated command could have a second effect.
    """
    if not 0 <= window_s <= MAX_RETRY_WINDOW_S:
        raise ValueError(
            f"retry_window is {window_s:g} s, allowed is 0 to {MAX_RETRY_WINDOW_S:g} s: "
            "the engine knows a repeated command for 2 minutes only"
        )
    return window_s


class Attempts:
    """The attempts of one call, from the first failure on."""

    __slots__ = ("_call", "_count", "_deadline", "_target", "_unanswered", "_window_s")

    def __init__(self, call: Call[Any], *, target: str, window_s: float, started_at: float) -> None:
        self._call = call
        self._target = target
        self._window_s = window_s if call.window_s is None else call.window_s
        self._deadline = started_at + self._window_s
        self._count = 0
        self._unanswered = False

    def next_delay(self, code: grpc.StatusCode, details: str, *, now: float, fraction: float) -> float:
        """Return how many seconds to wait before the same request is sent again.

        Args:
            code: status of the failed attempt.
            details: its text.
            now: the clock that `started_at` was read from; seconds.
            fraction: a random number in [0, 1), which spreads the repeats of many clients.

        Raises:
            RequestError: the class for this failure; repeating is useless, or the window is over.
        """
        if code not in _REPEATABLE and details != _BROKEN_IN_CORE:
            raise self._refusal(code, details)
        if not details.lower().startswith(_NOT_EXECUTED):
            self._unanswered = True
        delay = fraction * min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._count, 10))
        self._count += 1
        if now + delay >= self._deadline:
            self._give_up(code, details)
        return delay

    def _refusal(self, code: grpc.StatusCode, details: str) -> RequestError:
        instance_id = self._call.instance_id
        if code is grpc.StatusCode.UNIMPLEMENTED:
            text = f"{self._target} does not know {self._call.method.path}: is it a Tenuto engine of this release?"
            return InvalidRequest(text, instance_id=instance_id)
        kind = _ERRORS.get(code)
        if kind is not None:
            return kind(details or code.name, instance_id=instance_id)
        # INTERNAL, UNKNOWN, DATA_LOSS, ABORTED: the engine has a fault, and nothing says how far it came.
        text = f"{self._target} failed at {self._call.method.path}: {code.name}: {details}"
        return (OutcomeUnknown if self._call.is_command else RequestError)(text, instance_id=instance_id)

    def _give_up(self, code: grpc.StatusCode, details: str) -> NoReturn:
        seen = f"{code.name}: {details}" if details else code.name
        tried = f"{self._count} attempt{'s' if self._count > 1 else ''} in {self._window_s:g} s"
        what = f"{self._call.method.path.rpartition('/')[2]}"
        if self._call.instance_id:
            what += f" of {self._call.instance_id!r}"
        if self._call.is_command and self._unanswered:
            raise OutcomeUnknown(
                f"{what} may have been executed: {self._target} did not confirm it ({tried}; last: {seen}). "
                "Look at the instance before repeating",
                instance_id=self._call.instance_id,
            )
        if self._unanswered:
            # Somebody was there: an engine without its store, or one that was lost while it answered.
            raise EngineUnavailable(
                f"{self._target} could not answer {what} ({tried}; last: {seen}). Repeating it is safe; if this lasts, "
                "look at the engine's log and at its store",
                instance_id=self._call.instance_id,
            )
        if details.startswith(_REFUSED_BY_STORE):
            raise EngineUnavailable(
                f"{what} was not executed: {self._target} could not store it ({tried}; last: {seen}). Repeating it is "
                "safe; if this lasts, look at the engine's store",
                instance_id=self._call.instance_id,
            )
        raise EngineUnavailable(
            f"no engine answered at {self._target}: {what} was not executed ({tried}; last: {seen}). "
            "Is it running, and is TENUTO_ENGINE right?",
            instance_id=self._call.instance_id,
        )
