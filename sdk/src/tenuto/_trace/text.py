"""A trace on a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tenuto._trace.content import turn_note
from tenuto._trace.model import ReplayStep, Trace, TraceEvent, Verdict

STYLES: Final = {
    Verdict.STARTS: "bold cyan",
    Verdict.SKIPPED: "bold green",
    Verdict.RAISES: "bold red",
    Verdict.GIVEN: "bold blue",
    Verdict.OPEN: "bold yellow",
    Verdict.RETURNS: "bold cyan",
    Verdict.ENDED: "bold red",
    Verdict.NOTED: "dim",
}
_MAX_TEXT: Final = 160
_MAX_LINES: Final = 12
# Sentences on longer lines are hard to read.
_MAX_WIDTH: Final = 140


def shorten(text: str, limit: int = _MAX_TEXT) -> str:
    """Return text in one line of at most `limit` characters; control characters are escaped."""
    line = visible(text, keep="")
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def visible(text: str, *, keep: str = "\n") -> str:
    """Return text with control characters escaped, which a terminal would obey; those in `keep` stay."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in text)


def print_trace(trace: Trace, console: Console) -> None:
    """Write the whole explanation, in the order of its four questions."""
    width = min(console.width, _MAX_WIDTH)
    for part in render(trace):
        console.print(part, width=width)


def render(trace: Trace) -> list[RenderableType]:
    """Return the parts of the page, from head to state keys."""
    return [
        _head(trace),
        *([_heading("Why it stalled"), Text(visible(trace.problem))] if trace.problem else []),
        _heading("1. What history holds now"),
        *_history(trace),
        _heading("2. What a replay does, and 3. how it knows"),
        *_steps(trace),
        _heading("4. What runs next"),
        _nexts(trace),
        _heading("State store keys"),
        _keys(trace),
    ]


def _heading(text: str) -> RenderableType:
    return Padding(Rule(Text(text, style="bold"), align="left", style="dim"), (1, 0, 0, 0))


def _head(trace: Trace) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in trace.facts:
        lines = value.splitlines()[:_MAX_LINES]
        table.add_row(label, Text("\n".join(shorten(line, 400) for line in lines)))
    notes = [Text(f"Note: {note}", style="yellow") for note in trace.notes]
    body = Group(table, Text(""), Text(trace.headline, style="italic"), *notes)
    return Panel(body, title=Text(f"trace of {shorten(trace.instance_id, 80)}", style="bold"), title_align="left")


def _history(trace: Trace) -> list[RenderableType]:
    if not trace.events:
        return [Text("Nothing yet: the first turn writes the first events.", style="dim")]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("record", no_wrap=True, style="cyan")
    table.add_column("event", no_wrap=True)
    table.add_column("op", justify="right", style="dim")
    table.add_column("what it says", overflow="fold")
    for turn, events in groupby(trace.events, key=lambda event: event.turn):
        found = list(events)
        table.add_row(
            "", Text(f"turn {turn}", style="bold"), "", Text(f"{found[0].at} · {turn_note(found)}", style="dim")
        )
        for event in found:
            number = "" if event.event_id is None else str(event.event_id)
            table.add_row(event.key, event.type, number, _says(event))
    return [table]


def _says(event: TraceEvent) -> Text:
    text = Text(event.subject, style="bold")
    if event.content:
        text.append(("  " if event.subject else "") + shorten(event.content), style="none")
    return text


def _steps(trace: Trace) -> list[RenderableType]:
    if not trace.steps:
        return [Text("Nothing to replay: no turn is recorded.", style="dim")]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("", justify="right", style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("the code / what it gets / why", overflow="fold")
    for step in trace.steps:
        table.add_row(str(step.number), Text(step.verdict.value.upper(), style=STYLES[step.verdict]), _step_text(step))
    used = list(dict.fromkeys(step.verdict for step in trace.steps))
    legend = Text()
    for verdict in used:
        legend.append(f"{verdict.value.upper()} ", style=STYLES[verdict])
        legend.append(f"{verdict.meaning}\n", style="dim")
    legend.right_crop(1)
    return [table, Padding(legend, (1, 0, 0, 0))]


def _step_text(step: ReplayStep) -> Text:
    text = Text(shorten(step.code), style="bold")
    if step.source:
        text.append(f"  {step.source}", style="dim not bold")
    text.append(f"\n{step.happens}", style="none")
    if step.payload:
        text.append(": ", style="none").append(shorten(step.payload), style="green")
    return text.append(f"\nbecause {step.because}", style="dim")


def _nexts(trace: Trace) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for step in trace.nexts:
        text = Text(step.what)
        if step.keys:
            text.append(f"  [{', '.join(step.keys)}]", style="cyan")
        table.add_row(Text("→", style="bold yellow"), text)
    return table


def _keys(trace: Trace) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("record", style="cyan", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("bytes", justify="right")
    table.add_column("what it is for", overflow="fold")
    for key in trace.keys:
        table.add_row(key.key, f"{key.count:,}", f"{key.size_bytes:,}" if key.size_bytes else "", key.meaning)
    return Group(Text.assemble(("All under ", "dim"), (trace.store_key, "cyan")), table)
