"""A trace on a terminal and as a page."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from rich.console import Console

from tenuto._replay import events
from tenuto._trace.build import build_trace
from tenuto._trace.model import Trace
from tenuto._trace.page import html_page
from tenuto._trace.text import print_trace
from tenuto._wire.history import WorkflowHistory, number_events
from tenuto._wire.instances import WorkflowState
from tenuto._wire.records import StateRecord, StateRecords
from tenuto_proto.v1 import management_pb2 as pb

HOSTILE = '</script><img src=x onerror="alert(1)"> {{steps}} [bold]\x1b[31m'


def trace(instance_id: str = "order-7") -> Trace:
    history: list[Any] = [
        events.TurnStarted(1_760_000_000_000),
        events.ExecutionStarted("pipeline", instance_id, "e1", HOSTILE.encode()),
        events.ActivityScheduled(1, "validate_task", b"1"),
        events.TurnStarted(1_760_000_000_020),
        events.ActivityCompleted(1, HOSTILE.encode()),
        events.ActivityScheduled(2, "assign_task", b"1"),
    ]
    described = pb.Instance(
        instance_id=instance_id, execution_id="e1", name="pipeline", status=pb.RUNNING, history_length=6
    )
    records = StateRecords(
        "tenuto:{shop/3}:instance:" + instance_id, 3, (StateRecord("metadata", b"x", ""),), (), False
    )
    return build_trace(WorkflowState(described), WorkflowHistory(instance_id, "e1", number_events(history)), records)


class Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Tags:
    found = Tags()
    found.feed(page)
    return found


def test_the_text_answers_the_four_questions() -> None:
    """History, replay with reasons, what runs next and the keys stand in the terminal's output, in this order."""
    out = io.StringIO()
    print_trace(trace(), Console(file=out, width=160))
    text = out.getvalue()
    wanted = ["1. What history holds now", "2. What a replay does", "SKIPPED", "4. What runs next", "State store keys"]
    places = [text.index(one) for one in wanted]
    assert places == sorted(places)
    assert "tenuto:{shop/3}:instance:order-7" in text


def test_payloads_cannot_steer_the_terminal() -> None:
    """Control characters of a payload are shown, not sent to the terminal, and markup in it is text."""
    out = io.StringIO()
    print_trace(trace(), Console(file=out, width=160, force_terminal=True))
    assert "\x1b[31m </" not in out.getvalue()
    assert "\\x1b[31m" in out.getvalue()
    assert "[bold]" in out.getvalue()


def test_the_page_is_self_contained() -> None:
    """No tag loads anything, and the page forbids it to itself."""
    page = html_page(trace())
    found = parsed(page)
    assert [tag for tag, given in found.tags if {"src", "href"} & set(given)] == []
    assert "default-src 'none'" in page
    assert re.search(r"url\(|@import", page) is None


def test_the_page_escapes_everything() -> None:
    """A payload, or an id, stays text: no tag of it becomes part of the page, and no mark in it is filled in."""
    found = parsed(html_page(trace('<b id="x">')))
    assert "img" not in {tag for tag, _given in found.tags}
    assert '</script><img src=x onerror="alert(1)"> {{steps}}' in found.text
    assert '<b id="x">' in found.text


def test_steps_point_at_their_records() -> None:
    """Each step names records, and each of them has its place in the page."""
    found = parsed(html_page(trace()))
    ids = {given.get("id") for _tag, given in found.tags}
    keys = {key for _tag, given in found.tags for key in (given.get("data-keys") or "").split()}
    assert keys >= {"history-000001", "history-000002", "history-000004"}
    assert keys <= ids


def test_a_report_of_a_stall_is_shown_whole() -> None:
    """Its first line stands with the status, the rest as it was told: on a terminal, as a page, and as JSON."""
    lines = ["NON_DETERMINISTIC: changed", *(f"  line {number} <b>" for number in range(30))]
    found = replace(trace(), problem="\n".join(lines))
    out = io.StringIO()
    print_trace(found, Console(file=out, width=120))
    assert all(line in out.getvalue() for line in lines)
    assert "line 29 &lt;b&gt;" in html_page(found)
    assert found.to_json()["problem"].endswith("line 29 <b>")
