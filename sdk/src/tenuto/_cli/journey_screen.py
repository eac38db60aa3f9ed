"""The text UI of `tenuto trace --step`: events on the left; on the right the code, its variables, what it asks for.

Needs the extra `tenuto[tui]`; imported only where it is used.
"""

from __future__ import annotations

from typing import ClassVar, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Header, OptionList, Static
from textual.widgets.option_list import Option

from tenuto._offline.journey import CodeFrame, Journey, Stop
from tenuto._trace.text import shorten, visible

_HERE: Final = "bold on dark_goldenrod"


class JourneyApp(App[None]):
    """Steps through a replay.

    Args:
        journey: the replay; it has at least one stop.
    """

    CSS = """
    #events { width: 40%; max-width: 60; border-right: solid $primary; }
    #stop { padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,n,j", "step(1)", "forth", priority=True),
        Binding("left,p,k", "step(-1)", "back", priority=True),
        Binding("home", "go(0)", "first", priority=True),
        Binding("end", "go(-1)", "last", priority=True),
        Binding("q,escape", "quit", "quit"),
    ]

    def __init__(self, journey: Journey) -> None:
        super().__init__()
        self.title = f"{journey.workflow}  {journey.instance_id}"
        self._stops = journey.stops

    def compose(self) -> ComposeResult:
        """Lay out the two panes."""
        yield Header()
        with Horizontal():
            yield OptionList(*(Option(_line(stop)) for stop in self._stops), id="events")
            with VerticalScroll():
                yield Static(id="stop", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin at the first event."""
        events = self.query_one("#events", OptionList)
        events.focus()
        events.highlighted = 0

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the event that is now chosen."""
        stop = self._stops[event.option_index]
        self.sub_title = f"event {event.option_index + 1} of {len(self._stops)}"
        self.query_one("#stop", Static).update(render_stop(stop))

    def action_step(self, count: int) -> None:
        """Go so many events on."""
        events = self.query_one("#events", OptionList)
        events.highlighted = max(0, min(len(self._stops) - 1, (events.highlighted or 0) + count))

    def action_go(self, position: int) -> None:
        """Go to an event; -1 is the last one."""
        self.query_one("#events", OptionList).highlighted = position % len(self._stops)


def _line(stop: Stop) -> Text:
    text = Text(f"{stop.turn:>4} ", style="dim").append(stop.event, style="not dim")
    return text.append(f"  {shorten(stop.about, 60)}", style="dim") if stop.about else text


def render_stop(stop: Stop) -> RenderableType:
    """Return one stop for a terminal: the event, what the code asks for, where it stands, the innermost frame first."""
    head = Text(stop.event, style="bold").append(f"  {stop.key}  turn {stop.turn}  {stop.at}", style="not bold dim")
    parts: list[RenderableType] = [head]
    if stop.about:
        parts.append(Text(visible(stop.about)))
    parts += [Text(f"asks for {visible(entry)}", style="green") for entry in stop.asked]
    parts.append(Text(f"the code {visible(stop.standing)}", style="bold yellow"))
    for frame in reversed(stop.frames):
        parts += [Text(""), Text(frame.function, style="bold cyan").append(f"  {frame.source}", style="not bold dim")]
        parts += [_variables(frame), Text(""), _source(frame)]
    return Group(*parts)


def _source(frame: CodeFrame) -> Text:
    text = Text(no_wrap=True)
    for number, line in frame.lines:
        text.append(f"{number:>5}  {visible(line)}\n", style=_HERE if number == frame.line else "")
    text.right_crop(1)
    return text


def _variables(frame: CodeFrame) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for one in frame.variables:
        table.add_row(one.name, Text(visible(one.text), style="bold yellow" if one.is_changed else ""))
    return table
