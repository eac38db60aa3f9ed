"""Dapr's workflow API over HTTP: the same paths, parameters and status codes, and its health paths.

Payloads are the bodies as they are. An error is `{"errorCode": ..., "message": ...}` with Dapr's codes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tenuto_engine.codec.events import decode_failure
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.edge.auth import is_authorized
from tenuto_engine.ports.errors import CommandRefused, EngineError
from tenuto_engine.ports.inbound import InstanceView, StartRequest
from tenuto_engine.ports.serving import Management

_VERSIONS = "{version:v1\\.0|v1\\.0-beta1|v1\\.0-alpha1}"
_COMPONENT = "dapr"
_MAX_ID = 64
_ID = re.compile(r"[A-Za-z0-9_-]+")
_REQUESTED_BY = "dapr http"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class DaprHttpEdge:
    """The HTTP application that Dapr's clients speak to.

    Args:
        commands: what carries out their wishes.
        app: this engine's application; requests for another one are refused.
        token: what they must send as `dapr-api-token`; empty: nothing is asked for.
        max_bytes: longest body, in bytes.
        new_id: makes ids for instances that their starter gave none.
    """

    def __init__(
        self, commands: Management, *, app: str, token: bytes, max_bytes: int, new_id: Callable[[], str]
    ) -> None:
        self._commands = commands
        self._app = app
        self._token = token
        self._max_bytes = max_bytes
        self._new_id = new_id

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        # A little more than a payload, so that the engine itself refuses a larger one, by name.
        app = web.Application(client_max_size=2 * self._max_bytes)
        app.router.add_get("/v1.0/healthz", _healthy)
        app.router.add_get("/v1.0/healthz/outbound", _healthy)
        workflows = f"/{_VERSIONS}/workflows/{{component}}"
        routes: dict[str, tuple[str, Callable[[web.Request, str], Awaitable[web.Response]]]] = {
            "{name}/start": ("ERR_START_WORKFLOW", self._start),
            "{id}/raiseEvent/{event}": ("ERR_RAISE_EVENT_WORKFLOW", self._raise_event),
            "{id}/pause": ("ERR_PAUSE_WORKFLOW", self._pause),
            "{id}/resume": ("ERR_RESUME_WORKFLOW", self._resume),
            "{id}/terminate": ("ERR_TERMINATE_WORKFLOW", self._terminate),
            "{id}/purge": ("ERR_PURGE_WORKFLOW", self._purge),
        }
        for path, (code, method) in routes.items():
            app.router.add_post(f"{workflows}/{path}", self._guarded(method, code))
        app.router.add_get(f"{workflows}/{{id}}", self._guarded(self._get, "ERR_GET_WORKFLOW"))
        return app

    def _guarded(self, method: Callable[[web.Request, str], Awaitable[web.Response]], code: str) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._check(request)
                return await method(request, request.match_info.get("id", ""))
            except web.HTTPRequestEntityTooLarge:
                text = f"the body is larger than the limit payload_bytes, {self._max_bytes:,} bytes; pass a reference"
                return _error(413, code, text)
            except _Refused as refused:
                return _error(refused.status, refused.code, str(refused))
            except CommandRefused as refused:
                if refused.kind == "not_found":
                    return _error(404, "ERR_INSTANCE_ID_NOT_FOUND", str(refused))
                return _error(400 if refused.kind == "invalid" else 500, code, str(refused))
            except EngineError as error:
                return _error(500, code, str(error))

        return handle

    def _check(self, request: web.Request) -> None:
        given = request.headers.get("dapr-api-token", "").encode("utf-8", "surrogateescape")
        if self._token and not is_authorized(b"Bearer " + given, self._token):
            raise _Refused(401, "ERR_UNAUTHORIZED", "the header dapr-api-token is missing or another (DAPR_API_TOKEN)")
        component = request.match_info["component"]
        if component != _COMPONENT:
            text = f"there is no workflow component '{component}'; the one here is '{_COMPONENT}'"
            raise _Refused(400, "ERR_WORKFLOW_COMPONENT_NOT_FOUND", text)
        other = request.query.get("appID", self._app)
        if other != self._app:
            text = f"this engine serves the application '{self._app}' alone; ask an engine of '{other}'"
            raise _Refused(400, "ERR_APP_ID_OTHER", text)

    async def _start(self, request: web.Request, _id: str) -> web.Response:
        instance_id = request.query.get("instanceID", "") or self._new_id()
        if len(instance_id) > _MAX_ID:
            text = f"the instance id has {len(instance_id)} characters, the limit is {_MAX_ID}"
            raise _Refused(400, "ERR_INSTANCE_ID_TOO_LONG", text)
        if not _ID.fullmatch(instance_id):
            text = f"the instance id '{instance_id}' may hold letters, digits, '_' and '-' only"
            raise _Refused(400, "ERR_INSTANCE_ID_INVALID", text)
        started = await self._commands.start(
            StartRequest(
                "",
                request.match_info["name"],
                instance_id,
                await _body(request),
                _start_ms(request.query.get("dapr.workflow.start_time", "")),
                trace_parent=request.headers.get("traceparent", ""),
                replaces=TERMINAL,
            )
        )
        return web.json_response({"instanceID": started.instance_id}, status=202)

    async def _get(self, _request: web.Request, instance_id: str) -> web.Response:
        view = await self._commands.get(instance_id, payloads=True)
        if view is None:
            text = f"there is no instance '{instance_id}'; start it first, or check the id"
            raise _Refused(404, "ERR_INSTANCE_ID_NOT_FOUND", text)
        return web.json_response(_state(view))

    async def _raise_event(self, request: web.Request, instance_id: str) -> web.Response:
        await self._commands.raise_event("", instance_id, request.match_info["event"], await _body(request))
        return web.Response(status=202)

    async def _pause(self, _request: web.Request, instance_id: str) -> web.Response:
        await _unless_ended(self._commands.suspend("", instance_id, "", _REQUESTED_BY))
        return web.Response(status=202)

    async def _resume(self, _request: web.Request, instance_id: str) -> web.Response:
        await _unless_ended(self._commands.resume("", instance_id, "", _REQUESTED_BY))
        return web.Response(status=202)

    async def _terminate(self, _request: web.Request, instance_id: str) -> web.Response:
        await _unless_ended(
            self._commands.terminate(
                "", instance_id, output=None, recursive=True, reason="", requested_by=_REQUESTED_BY
            )
        )
        return web.Response(status=202)

    async def _purge(self, _request: web.Request, instance_id: str) -> web.Response:
        await self._commands.purge(instance_id, recursive=True, force=False, requested_by=_REQUESTED_BY)
        return web.Response(status=202)


async def _unless_ended(command: Awaitable[bool]) -> None:
    """Control an instance; one that has ended stays as it is, which is no error here."""
    try:
        await command
    except CommandRefused as refused:
        if refused.kind != "precondition":
            raise


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(status=204)


async def _body(request: web.Request) -> bytes | None:
    return await request.read() or None


def _start_ms(text: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        problem = f"dapr.workflow.start_time is '{text}'; give a moment as RFC 3339, such as 2030-01-31T12:00:00Z"
        raise _Refused(400, "ERR_START_WORKFLOW", problem)
    return max(0, int(moment.timestamp() * 1000))


def _state(view: InstanceView) -> dict[str, Any]:
    properties: dict[str, str] = {}
    payloads = {"input": view.input, "output": view.output, "custom_status": view.custom_status or None}
    for name, value in payloads.items():
        if value is not None:
            properties[f"dapr.workflow.{name}"] = value.decode("utf-8", "backslashreplace")
    if view.failure and view.status == Status.FAILED:
        failure = decode_failure(view.failure)
        properties["dapr.workflow.failure.error_type"] = failure.type
        properties["dapr.workflow.failure.error_message"] = failure.message
        if failure.stack:
            properties["dapr.workflow.failure.stack_trace"] = failure.stack
    return {
        "instanceID": view.instance_id,
        "workflowName": view.name,
        "createdAt": _moment(view.created_at_ms),
        "lastUpdatedAt": _moment(view.updated_at_ms or view.created_at_ms),
        "runtimeStatus": Status(view.status).name,
        "properties": properties,
    }


def _moment(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"errorCode": code, "message": message}, status=status)
