"""One table from what the runtime refuses to what the wire says."""

from __future__ import annotations

import grpc

from tenuto_engine.ports.errors import CommandRefused, EngineError, StoreUnavailable

STATUS_OF = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "already_exists": grpc.StatusCode.ALREADY_EXISTS,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "limit": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}


def status_of(error: EngineError) -> grpc.StatusCode:
    """The status code of an engine error; anything unforeseen is INTERNAL."""
    if isinstance(error, CommandRefused):
        return STATUS_OF[error.kind]
    return grpc.StatusCode.UNAVAILABLE if isinstance(error, StoreUnavailable) else grpc.StatusCode.INTERNAL
