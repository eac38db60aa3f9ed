"""What `tenuto replay` shows: a line for each history, the reports, and a summary by workflow."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tenuto._offline.results import ProblemKind, ReplayResult
from tenuto._offline.suite import SuiteOutcome
from tenuto._trace.text import shorten, visible

_WIDEST_RULE = 100  # A pipe counts as wide, and a line across all of it is a page of a build's log.


def print_outcome(outcome: SuiteOutcome, console: Console) -> None:
    """Write the outcome for people."""
    console.print(_lines(outcome))
    for result in outcome.failed:
        title = Rule(Text(shorten(result.label, 80), style="bold red"), align="left")
        console.print()
        console.print(title, width=min(console.width, _WIDEST_RULE))
        console.print(Text(visible(result.report())), soft_wrap=True)
    for note in outcome.notes:
        console.print(Text(f"note: {visible(note)}", style="yellow"), soft_wrap=True)
    if len(outcome.by_workflow()) > 1:
        console.print()
        console.print(_summary(outcome))
    count, failed = len(outcome.results), len(outcome.failed)
    unread = sum(one.problem is not None and one.problem.kind is ProblemKind.UNREADABLE for one in outcome.failed)
    failed -= unread
    endings = [f"the code does not fit {failed}"] if failed else []
    endings += [f"{unread} could not be read"] if unread else []
    ending = ", ".join(endings) or "the code fits all of them"
    console.print(Text(f"\n{count} {'history' if count == 1 else 'histories'}: {ending}", style="bold"))


def outcome_json(outcome: SuiteOutcome) -> dict[str, Any]:
    """Return the outcome for programs."""
    return {
        "ok": not outcome.failed,
        "histories": [result.to_json() for result in outcome.results],
        "summary": {
            name: {"histories": count, "failed": failed} for name, (count, failed) in outcome.by_workflow().items()
        },
        "notes": outcome.notes,
    }


def _lines(outcome: SuiteOutcome) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("", "instance", "workflow", "what was found"):
        table.add_column(name, overflow="fold", no_wrap=name == "")
    for result in outcome.results:
        verdict = Text("ok", style="green") if result.is_ok else Text("FAIL", style="bold red")
        table.add_row(verdict, Text(shorten(result.label, 80)), Text(shorten(result.workflow, 60)), _found(result))
    return table


def _found(result: ReplayResult) -> Text:
    problem = result.problem
    if problem is None:
        text = Text(f"{result.event_count} events, {result.turn_count} turns{', open' if result.is_open else ''}")
        for note in result.notes:
            text.append(f"; {shorten(note)}", style="dim")
        return text
    place = f" at operation {problem.operation}" if problem.operation else ""
    text = Text(f"{problem.kind.value}{place}", style="bold").append(f" {problem.kind.meaning}", style="not bold")
    if result.sensitivities:
        names = ", ".join(one.perturbation.name for one in result.sensitivities)
        text.append(f" ({names})", style="not bold")
    return text


def _summary(outcome: SuiteOutcome) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("workflow", overflow="fold")
    table.add_column("histories", justify="right")
    table.add_column("failed", justify="right")
    for name, (count, failed) in outcome.by_workflow().items():
        table.add_row(
            shorten(name or "(unreadable)", 80), f"{count:,}", Text(f"{failed:,}", style="red" if failed else "")
        )
    return table
