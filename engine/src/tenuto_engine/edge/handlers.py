"""gRPC's handlers and server, given types once: its stubs leave their generics open.

Everything else of the edge uses these instead of the library's functions, so it can be checked strictly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

# In quotes, because these classes are generic in their stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Service: TypeAlias = "grpc.GenericRpcHandler[Any, Any]"
CallContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_grpc: Any = grpc
END_OF_STREAM: object = _grpc.aio.EOF


class Malformed:
    """Stands in for a request that is no message of its type."""

    def __init__(self, request: type[Any], error: DecodeError) -> None:
        self.text = f"the {request.__name__} cannot be read: {error}"


def _reader(request: type[Any]) -> Callable[[bytes], Any]:
    read = request.FromString

    def read_or_mark(data: bytes) -> Any:
        # An error raised here would reach the client as UNKNOWN, with our class's name for a text.
        try:
            return read(data)
        except DecodeError as error:
            return Malformed(request, error)

    return read_or_mark


async def refuse_malformed(message: object, context: CallContext) -> None:
    """End the call as INVALID_ARGUMENT if the message could not be read."""
    if type(message) is Malformed:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message.text)


def _serialize(message: Any) -> Any:
    return message.SerializeToString()


def unary(behavior: Any, request: type[Any]) -> Handler:
    """One request, one response. `request` is the message class; responses serialize themselves."""

    async def checked(message: Any, context: CallContext) -> Any:
        await refuse_malformed(message, context)
        return await behavior(message, context)

    handler: Handler = _grpc.unary_unary_rpc_method_handler(checked, _reader(request), _serialize)
    return handler


def server_stream(behavior: Any, request: type[Any]) -> Handler:
    """One request, a stream of responses."""

    async def checked(message: Any, context: CallContext) -> AsyncIterator[Any]:
        await refuse_malformed(message, context)
        async for response in behavior(message, context):
            yield response

    handler: Handler = _grpc.unary_stream_rpc_method_handler(checked, _reader(request), _serialize)
    return handler


def stream(behavior: Any, request: type[Any], response: type[Any]) -> Handler:
    """A stream each way. `behavior` reads by itself, and passes what it read to `refuse_malformed`."""
    handler: Handler = _grpc.stream_stream_rpc_method_handler(behavior, _reader(request), response.SerializeToString)
    return handler


def service(name: str, methods: Mapping[str, Handler]) -> Service:
    """The handler to register at a server for a service's methods."""
    handler: Service = _grpc.method_handlers_generic_handler(name, methods)
    return handler


def refusing(handler: Handler, behavior: Any) -> Handler:
    """`handler` with its shape kept and its behavior replaced."""
    known: Any = handler
    make: Any = _grpc.unary_unary_rpc_method_handler
    if known.stream_stream is not None:
        make = _grpc.stream_stream_rpc_method_handler
    elif known.unary_stream is not None:
        make = _grpc.unary_stream_rpc_method_handler
    replaced: Handler = make(behavior, known.request_deserializer, known.response_serializer)
    return replaced


def new_server(
    services: Sequence[Service], *, interceptors: Sequence[object], options: Sequence[tuple[str, Any]]
) -> grpc.aio.Server:
    """A server with its services, not listening yet."""
    server: Any = _grpc.aio.server(interceptors=interceptors, options=options)
    server.add_generic_rpc_handlers(tuple(services))
    made: grpc.aio.Server = server
    return made
