"""A management service with prepared answers, behind a real gRPC server: for tests of clients and the command line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc

from tenuto_proto.v1 import management_pb2 as pb

_REQUESTS: dict[str, Any] = {
    "StartInstance": pb.StartInstanceRequest,
    "GetInstance": pb.GetInstanceRequest,
    "WaitInstance": pb.WaitInstanceRequest,
    "ListInstances": pb.ListInstancesRequest,
    "RaiseEvent": pb.RaiseEventRequest,
    "SuspendInstance": pb.ControlRequest,
    "ResumeInstance": pb.ControlRequest,
    "TerminateInstance": pb.TerminateRequest,
    "PurgeInstance": pb.PurgeRequest,
    "RerunInstance": pb.RerunRequest,
    "GetHistory": pb.GetHistoryRequest,
    "GetState": pb.GetStateRequest,
    "GetEngine": pb.GetEngineRequest,
}

if TYPE_CHECKING:
    _Handler = grpc.GenericRpcHandler[Any, Any]
else:  # generic in its stubs only
    _Handler = grpc.GenericRpcHandler

Refusal = tuple[grpc.StatusCode, str]
Answer = Any | Refusal | Callable[[Any], Any]


class FakeManagement(_Handler):
    """Answers each method from its queue of answers; the last one stays.

    An answer is a response (for GetHistory: a list of pages), a status with its text, or a function of the request
    that gives either. `seen` keeps every request with its method, `tokens` the authorization of each.
    """

    def __init__(self) -> None:
        self.answers: dict[str, deque[Answer]] = {}
        self.seen: list[tuple[str, Any]] = []
        self.tokens: list[str] = []

    def will(self, method: str, *answers: Answer) -> None:
        """Queue answers for a method."""
        self.answers[method] = deque(answers)

    def requests(self, method: str) -> list[Any]:
        """The requests that a method has received, in order."""
        return [request for name, request in self.seen if name == method]

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = handler_call_details.method.rpartition("/")[2]
        sent = {key: str(value) for key, value in handler_call_details.invocation_metadata}
        token = sent.get("authorization", "")
        if method == "Calls":
            calls = lambda batches, context: self._calls(batches, context, token)  # noqa: E731 - bound to this token
            return grpc.stream_stream_rpc_method_handler(calls, pb.CallBatch.FromString, _encode)
        self.tokens.append(token)
        decode = _REQUESTS[method].FromString

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            return self._answer(method, request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield from self._answer(method, request, context)

        if method == "GetHistory":
            return grpc.unary_stream_rpc_method_handler(stream, decode, _encode)
        return grpc.unary_unary_rpc_method_handler(unary, decode, _encode)

    def _calls(self, batches: Iterator[Any], context: grpc.ServicerContext, token: str) -> Iterator[Any]:
        """Answer calls one by one; a refused token ends the stream, as an engine's interceptor would."""
        for batch in batches:
            for call in batch.calls:
                self.tokens.append(token)
                request = _REQUESTS[call.method].FromString(call.request)
                try:
                    response = self._answer(call.method, request, cast(grpc.ServicerContext, _Aborting()))
                    answer = pb.AnswerItem(id=call.id, response=_encode(response))
                except _Aborted as aborted:
                    if aborted.code is grpc.StatusCode.UNAUTHENTICATED:
                        context.abort(aborted.code, aborted.details)
                    answer = pb.AnswerItem(id=call.id, code=aborted.code.value[0], details=aborted.details)
                yield pb.AnswerBatch(answers=[answer])

    def _answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.seen.append((method, request))
        queue = self.answers[method]
        answer = queue.popleft() if len(queue) > 1 else queue[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, tuple):
            code, details = answer
            context.abort(code, details)
        return answer


class _Aborted(Exception):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class _Aborting:
    """The part of a servicer context that answers use, for calls inside a stream."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise _Aborted(code, details)


def _encode(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded


@contextmanager
def serve(service: FakeManagement, address: str = "127.0.0.1:0") -> Iterator[str]:
    """Serve on `address` until the block ends; gives HOST:PORT."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), handlers=[service])
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def instance(**fields: Any) -> pb.Instance:
    """An instance as the engine would describe it, with `fields` replaced."""
    known: dict[str, Any] = {
        "instance_id": "order-7",
        "execution_id": "e1",
        "name": "task_pipeline",
        "status": pb.RUNNING,
        "created_at_ms": 1_760_000_000_000,
        "updated_at_ms": 1_760_000_001_500,
        "generation": 1,
        "shard": 12,
    }
    return pb.Instance(**{**known, **fields})


def found(**fields: Any) -> pb.GetInstanceResponse:
    """The answer of GetInstance and WaitInstance for such an instance."""
    return pb.GetInstanceResponse(found=True, instance=instance(**fields))
