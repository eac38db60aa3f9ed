"""Results as tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tenuto._trace.content import content, moment_text
from tenuto._trace.steps import Index
from tenuto._trace.text import shorten, visible
from tenuto.client import StateRecord, StateRecords, WorkflowHistory, WorkflowPage, WorkflowState, WorkflowStatus
from tenuto.errors import FailureDetails

_STYLES = {
    WorkflowStatus.PENDING: "cyan",
    WorkflowStatus.RUNNING: "blue",
    WorkflowStatus.SUSPENDED: "yellow",
    WorkflowStatus.COMPLETED: "green",
    WorkflowStatus.FAILED: "red",
    WorkflowStatus.TERMINATED: "magenta",
    WorkflowStatus.STALLED: "bold red",
}


def status_text(state: WorkflowState, *, brief: bool = False) -> Text:
    """Return the status in its colour, with the first line of its reason; `brief`: with the beginning of that."""
    status = state.runtime_status
    reason = next(iter(state.status_reason.splitlines()), "")
    if brief:
        reason = shorten(reason, 60)
    text = Text(status.name, style=_STYLES.get(status, ""))
    return text.append(f" ({reason})", style="not bold dim") if reason else text


def table_of(*columns: str) -> Table:
    """Return an empty table in the style of all of them."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def page_table(page: WorkflowPage) -> RenderableType:
    """Return one line per instance."""
    if not page.workflows:
        return Text("no instances", style="dim")
    table = table_of("INSTANCE", "WORKFLOW", "STATUS", "CREATED", "EVENTS")
    for state in page:
        created = f"{state.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(
            Text(state.instance_id),
            Text(state.name),
            status_text(state, brief=True),
            created,
            f"{state.history_length}",
        )
    return table


def state_table(state: WorkflowState) -> RenderableType:
    """Return one instance, one line per fact that there is; a reason of several lines stands below, as it was told."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    facts: Iterable[tuple[str, str | Text | None]] = (
        ("instance", state.instance_id),
        ("workflow", state.name + (f" (version {state.version})" if state.version else "")),
        ("status", status_text(state)),
        ("execution", f"{state.execution_id} (generation {state.generation})"),
        ("created", moment_text(state.created_at)),
        ("updated", moment_text(state.last_updated_at)),
        ("history", f"{state.history_length:,} events, {state.history_bytes:,} bytes"),
        ("parent", state.parent_instance_id),
        ("rerun of", state.rerun_of),
        ("input", state.serialized_input),
        ("custom status", state.serialized_custom_status),
        ("output", state.serialized_output),
    )
    for label, value in facts:
        if value:
            table.add_row(label, value if isinstance(value, Text) else Text(visible(value)))
    if (failure := state.failure_details) is not None:
        table.add_row("failure", Text(visible(str(failure)), style="red"))
        _add_traces(table, failure)
    # Not in the table: operations side by side need the whole width.
    return Group(table, Text(""), Text(visible(state.status_reason))) if "\n" in state.status_reason else table


def _add_traces(table: Table, failure: FailureDetails) -> None:
    """Where in the code it was raised, and where each of its causes was."""
    if failure.stack_trace:
        table.add_row("", Text(visible(failure.stack_trace.rstrip()), style="dim"))
    cause = failure.cause
    while cause is not None:
        table.add_row("caused by", Text(visible(cause.headline), style="red"))
        if cause.stack_trace:
            table.add_row("", Text(visible(cause.stack_trace.rstrip()), style="dim"))
        cause = cause.cause


def history_table(history: WorkflowHistory) -> RenderableType:
    """Return one line per event."""
    index = Index(history)
    table = table_of("RECORD", "TURN", "AT", "EVENT", "OP", "CONTENT")
    for item in history:
        name = index.names.get(item.event_id or 0) or getattr(item.event, "name", "")
        text = Text(str(name), style="bold")
        if says := content(item.event):
            text.append(("  " if name else "") + shorten(says), style="none")
        at = "" if item.at is None else f"{item.at.astimezone():%H:%M:%S.%f}"[:-3]
        number = "" if item.event_id is None else str(item.event_id)
        table.add_row(Text(item.key, style="cyan"), str(item.turn), at, item.type, number, text)
    return table


def records_table(records: StateRecords) -> RenderableType:
    """Return raw records with their decoded form beside them."""
    parts: list[RenderableType] = [
        Text.assemble(("store key  ", "dim"), (records.store_key, "cyan")),
        Text.assemble(("shard      ", "dim"), str(records.shard)),
        Text(""),
        _record_lines(sorted(records.records, key=_place)),
    ]
    if records.related:
        parts += [Text(""), Text("of the shard, for this instance:", style="dim"), _related_lines(records.related)]
    if records.is_truncated:
        parts.append(Text("there are more records; ask for more with --max-records", style="yellow"))
    return Group(*parts)


def _place(record: StateRecord) -> tuple[int, str]:
    """Facts of the whole first, then history, then what is unread."""
    kinds = ("metadata", "customStatus", "history-", "inbox-")
    return next((n for n, kind in enumerate(kinds) if record.key.startswith(kind)), len(kinds)), record.key


def _record_lines(records: Iterable[StateRecord]) -> Table:
    table = table_of("RECORD", "BYTES", "RAW", "DECODED")
    table.columns[1].justify = "right"
    table.columns[0].no_wrap = True
    for one in records:
        table.add_row(
            Text(one.key, style="cyan"),
            f"{len(one.value):,}",
            Text(raw_text(one.value), style="dim"),
            Text(shorten(decoded_text(one), 1000)),
        )
    return table


def _related_lines(related: Iterable[StateRecord]) -> Table:
    """Entries of shared records: the engine tells what they say, not their bytes."""
    table = table_of("ENTRY", "SAYS")
    for one in related:
        table.add_row(Text(one.key, style="cyan"), Text(shorten(decoded_text(one), 1000)))
    return table


def raw_text(value: bytes, limit: int = 24) -> str:
    """Return the first bytes in hexadecimal."""
    return value[:limit].hex(" ", 4) + (" …" if len(value) > limit else "")


def decoded_text(record: StateRecord) -> str:
    """Return the engine's decoded form in one line."""
    try:
        return json.dumps(json.loads(record.json), ensure_ascii=False)
    except ValueError:
        return record.json
