"""Dapr's workflow API over HTTP: paths, parameters, status codes and the shape of answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

import tenuto as wf
from apps import ended, served
from engines import EngineHere, make_settings
from tenuto import aio

Steps = Generator[Any, Any, Any]
START = "/v1.0/workflows/dapr/waits/start"


def waits(ctx: wf.WorkflowContext, greeting: str) -> Steps:
    ctx.set_custom_status("waiting")
    event = yield ctx.wait_for_external_event("go")
    if event == "fail":
        raise ValueError("as asked")
    return f"{greeting} {event}"


@pytest.fixture
async def web() -> AsyncIterator[tuple[httpx.AsyncClient, aio.WorkflowClient]]:
    """A client of the HTTP API, and one of the native API beside it."""
    async with (
        EngineHere(make_settings(dapr_http="127.0.0.1:0")) as engine,
        served(engine, workflows=[waits]) as native,
        httpx.AsyncClient(base_url=f"http://{engine.app.dapr_http_address}") as client,
    ):
        yield client, native


Web = tuple[httpx.AsyncClient, aio.WorkflowClient]


async def test_a_whole_life(web: Web) -> None:
    """Start, look, raise an event, look again, purge: with Dapr's codes and fields."""
    http, native = web
    begun = await http.post(f"{START}?instanceID=one", content='"hello"')
    assert (begun.status_code, begun.json()) == (202, {"instanceID": "one"})
    await native.wait_for_workflow_start("one", timeout_in_seconds=30)
    state = (await http.get("/v1.0/workflows/dapr/one")).json()
    assert (state["instanceID"], state["workflowName"], state["runtimeStatus"]) == ("one", "waits", "RUNNING")
    assert state["properties"] == {"dapr.workflow.input": '"hello"', "dapr.workflow.custom_status": '"waiting"'}
    raised = await http.post("/v1.0/workflows/dapr/one/raiseEvent/go", content='"world"')
    assert (raised.status_code, raised.content) == (202, b"")
    await ended(native, "one")
    state = (await http.get("/v1.0-beta1/workflows/dapr/one")).json()
    assert state["runtimeStatus"] == "COMPLETED"
    assert state["properties"]["dapr.workflow.output"] == '"hello world"'
    assert (await http.post("/v1.0/workflows/dapr/one/purge")).status_code == 202
    gone = await http.get("/v1.0/workflows/dapr/one")
    assert (gone.status_code, gone.json()["errorCode"]) == (404, "ERR_INSTANCE_ID_NOT_FOUND")


async def test_pause_resume_terminate(web: Web) -> None:
    """Each answers 202, and the state shows it at once; an instance that has ended stays as it is."""
    http, _ = web
    instance_id = (await http.post(START, content='"x"')).json()["instanceID"]
    for command, status in (("pause", "SUSPENDED"), ("resume", "RUNNING"), ("terminate", "TERMINATED")):
        assert (await http.post(f"/v1.0/workflows/dapr/{instance_id}/{command}")).status_code == 202
        assert (await http.get(f"/v1.0/workflows/dapr/{instance_id}")).json()["runtimeStatus"] == status
    for command in ("pause", "resume", "terminate"):
        assert (await http.post(f"/v1.0/workflows/dapr/{instance_id}/{command}")).status_code == 202
    assert (await http.get(f"/v1.0/workflows/dapr/{instance_id}")).json()["runtimeStatus"] == "TERMINATED"
    missing = await http.post("/v1.0/workflows/dapr/nobody/pause")
    assert (missing.status_code, missing.json()["errorCode"]) == (404, "ERR_INSTANCE_ID_NOT_FOUND")


async def test_a_failure_is_told(web: Web) -> None:
    """The state of a failed instance names the error, and has no output."""
    http, native = web
    await http.post(f"{START}?instanceID=bad", content='"x"')
    await http.post("/v1.0/workflows/dapr/bad/raiseEvent/go", content='"fail"')
    await ended(native, "bad")
    properties = (await http.get("/v1.0/workflows/dapr/bad")).json()["properties"]
    assert properties["dapr.workflow.failure.error_message"] == "as asked"
    assert properties["dapr.workflow.failure.error_type"].endswith("ValueError")
    assert "dapr.workflow.output" not in properties


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{START}?instanceID=a|b", 400, "ERR_INSTANCE_ID_INVALID"),
        (f"{START}?instanceID={'a' * 65}", 400, "ERR_INSTANCE_ID_TOO_LONG"),
        (f"{START}?appID=another", 400, "ERR_APP_ID_OTHER"),
        (f"{START}?dapr.workflow.start_time=soon", 400, "ERR_START_WORKFLOW"),
        (f"{START}?dapr.workflow.start_time=2030-01-31T12:00:00", 400, "ERR_START_WORKFLOW"),
        ("/v1.0/workflows/temporal/waits/start", 400, "ERR_WORKFLOW_COMPONENT_NOT_FOUND"),
        ("/v1.0/workflows/dapr/nobody/pause", 404, "ERR_INSTANCE_ID_NOT_FOUND"),
        ("/v1.0/workflows/dapr/nobody/purge", 404, "ERR_INSTANCE_ID_NOT_FOUND"),
        ("/v1.0/workflows/dapr/nobody/raiseEvent/go", 404, "ERR_INSTANCE_ID_NOT_FOUND"),
    ],
)
async def test_refusals(web: Web, path: str, status: int, code: str) -> None:
    """What cannot be done has Dapr's status and code, and a sentence."""
    refused = await web[0].post(path)
    assert (refused.status_code, refused.json()["errorCode"]) == (status, code)
    assert len(refused.json()["message"]) > 20


async def test_bodies_beyond_the_limit_are_refused_by_name(web: Web) -> None:
    """A payload beyond the limit, and a body that is not even read to its end, name the limit."""
    for size, status in ((2 << 20 | 1, 500), (5 << 20, 413)):
        refused = await web[0].post(START, content=b'"' + b"x" * size)
        assert (refused.status_code, refused.json()["errorCode"]) == (status, "ERR_START_WORKFLOW")
        assert "payload_bytes" in refused.json()["message"]


async def test_a_running_id_is_taken_and_an_ended_one_is_not(web: Web) -> None:
    """A start replaces an instance that has ended, and refuses one that runs."""
    http, _ = web
    await http.post(f"{START}?instanceID=one", content='"x"')
    taken = await http.post(f"{START}?instanceID=one", content='"x"')
    assert (taken.status_code, taken.json()["errorCode"]) == (500, "ERR_START_WORKFLOW")
    await http.post("/v1.0/workflows/dapr/one/terminate")
    assert (await http.post(f"{START}?instanceID=one", content='"x"')).status_code == 202


async def test_health_paths(web: Web) -> None:
    """The paths that Dapr's clients probe before they do anything."""
    for path in ("/v1.0/healthz", "/v1.0/healthz/outbound"):
        assert (await web[0].get(path)).status_code == 204


async def test_a_token_is_asked_for(tmp_path: Path) -> None:
    """With a token file, the header dapr-api-token decides."""
    token = tmp_path / "token"
    token.write_text("secret")
    settings = make_settings(dapr_http="127.0.0.1:0", token_file=str(token))
    async with (
        EngineHere(settings) as engine,
        httpx.AsyncClient(base_url=f"http://{engine.app.dapr_http_address}") as http,
    ):
        path = "/v1.0/workflows/dapr/one"
        assert (await http.get(path)).status_code == 401
        for other in ("other", "\u00fcber", "\udcff"):
            header = {b"dapr-api-token": other.encode("utf-8", "surrogateescape")}
            assert (await http.get(path, headers=header)).status_code == 401
        assert (await http.get(path, headers={"dapr-api-token": "secret"})).status_code == 404
