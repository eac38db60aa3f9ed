"""The optional bearer token of the app API: compared in constant time, before any handler runs."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from tenuto_engine.edge.handlers import CallContext, Handler, refusing


def read_token(path: str) -> bytes:
    """The token in a file, without surrounding white space."""
    return Path(path).read_bytes().strip()


def is_authorized(header: str | bytes | None, token: bytes) -> bool:
    """Whether an Authorization header carries the token."""
    if header is None:
        return False
    given = header.encode() if isinstance(header, str) else header
    return hmac.compare_digest(given, b"Bearer " + token)


if TYPE_CHECKING:
    _Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:  # the class is generic in its stubs only
    _Interceptor = grpc.aio.ServerInterceptor


class TokenInterceptor(_Interceptor):
    """Refuses calls without the token as UNAUTHENTICATED."""

    def __init__(self, token: bytes) -> None:
        self._token = token

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        metadata = dict(handler_call_details.invocation_metadata or ())
        handler = await continuation(handler_call_details)
        if is_authorized(metadata.get("authorization"), self._token):
            return handler
        # What Dapr's SDKs send, on every call.
        dapr_token = metadata.get("dapr-api-token")
        if dapr_token is not None and is_authorized(f"Bearer {_text(dapr_token)}", self._token):
            return handler
        return refusing(handler, _refuse)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


async def _refuse(_request: object, context: CallContext) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "this engine asks for a token, and this one is missing or another: send 'authorization: Bearer <token>' "
        "(TENUTO_TOKEN, TENUTO_TOKEN_FILE, --token-file) or 'dapr-api-token: <token>' (DAPR_API_TOKEN)",
    )
