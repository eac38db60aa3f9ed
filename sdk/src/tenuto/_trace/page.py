"""A trace as one self-contained HTML page: no request leaves it, nothing in it is trusted markup.

The page's frame, style and script stand in `page.html`; this module fills its marks. All that comes from an
instance (ids, payloads, messages) is escaped here, in one place: `_tag`.
"""

from __future__ import annotations

from html import escape
from importlib import resources
from itertools import groupby
from typing import Final

from tenuto._trace.content import turn_note
from tenuto._trace.model import NextStep, ReplayStep, Span, StateKey, Trace, TraceEvent

# Lanes beyond this make a timeline unreadable; the lists below it stay complete.
_MAX_LANES: Final = 120
_MAX_TEXT: Final = 4000


def html_page(trace: Trace) -> str:
    """Return the page, ready to be written to a file as UTF-8."""
    frame = resources.files("tenuto._trace").joinpath("page.html").read_text(encoding="utf-8")
    marks = {
        "title": escape(f"Trace of {trace.instance_id}"),
        "name": escape(trace.name),
        "instance": escape(trace.instance_id),
        "status": escape(trace.status),
        "headline": escape(trace.headline),
        "facts": "".join(f"<div>{_tag('dt', label)}{_tag('dd', value)}</div>" for label, value in trace.facts),
        "notes": "".join(_tag("p", note, "note") for note in trace.notes),
        "problem": _problem(trace.problem),
        "timeline": _timeline(trace.spans),
        "steps": "".join(_step(step) for step in trace.steps) or _tag("li", "No turn is recorded yet.", "empty"),
        "history": _history(trace.events),
        "nexts": "".join(_next(step) for step in trace.nexts),
        "store_key": escape(trace.store_key),
        "keys": "".join(_key(key) for key in trace.keys),
    }
    # One pass over the frame, so that a mark inside a payload is text and not filled in again.
    parts = frame.split("{{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition("}}")
        filled += [marks[name], rest]
    return "".join(filled)


def _problem(report: str) -> str:
    """Whole, because its end says what to do; the engine bounds it."""
    if not report:
        return ""
    heading = '<h2 id="h-problem">Why it stalled</h2>'
    return f'<section class="card problem" aria-labelledby="h-problem">{heading}<pre>{escape(report)}</pre></section>'


def _tag(name: str, text: str, kind: str = "") -> str:
    shown = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text):,} characters)"
    attribute = f' class="{kind}"' if kind else ""
    return f"<{name}{attribute}>{escape(shown)}</{name}>"


def _keys_attribute(keys: tuple[str, ...]) -> str:
    return escape(" ".join(keys), quote=True)


def _step(step: ReplayStep) -> str:
    place = f"op {step.event_id}" if step.event_id is not None else ""
    place += f" · {step.source}" if step.source else ""
    number = _tag("span", place, "op") if place else ""
    payload = _tag("pre", step.payload) if step.payload else ""
    return (
        f'<li class="step {step.verdict.value}" tabindex="-1" data-keys="{_keys_attribute(step.keys)}">'
        f'<div class="line">{_tag("span", step.verdict.value, "verdict")}{_tag("code", step.code)}{number}</div>'
        f"{_tag('p', step.happens)}{payload}{_tag('p', f'because {step.because}', 'why')}</li>"
    )


def _history(events: tuple[TraceEvent, ...]) -> str:
    if not events:
        return _tag("p", "Nothing yet: the first turn writes the first events.", "empty")
    parts: list[str] = []
    for turn, found in groupby(events, key=lambda event: event.turn):
        rows = list(found)
        note = _tag("small", f"{rows[0].at} · {turn_note(rows)}")
        head = f"<h3>Turn {turn} {note}</h3>"
        parts.append(f'<section class="turn">{head}<ol>{"".join(_event(event) for event in rows)}</ol></section>')
    return "".join(parts)


def _event(event: TraceEvent) -> str:
    number = "" if event.event_id is None else _tag("span", f"op {event.event_id}", "op")
    subject = _tag("b", event.subject) if event.subject else ""
    says = _tag("p", event.content, "says") if event.content else ""
    return (
        f'<li class="event" id="{event.key}"><div class="line">{_tag("code", event.key, "key")}'
        f"{_tag('span', event.type)}{subject}{number}</div>{says}</li>"
    )


def _timeline(spans: tuple[Span, ...]) -> str:
    if not spans:
        return _tag("p", "No operation is recorded.", "empty")
    first = min(span.start_ms for span in spans)
    last = max(max(span.start_ms, span.end_ms or 0) for span in spans)
    # An open operation reaches the right edge, and everything recorded ends a little before it.
    width = max(1, last - first) * 1.06
    lanes = "".join(_lane(span, first, width) for span in spans[:_MAX_LANES])
    more = len(spans) - _MAX_LANES
    rest = _tag("p", f"and {more:,} more operations, in the lists below", "empty") if more > 0 else ""
    scale = f'<div class="scale"><span>0</span>{_tag("span", _duration(last - first))}</div>'
    return f'<div class="lanes">{lanes}</div>{scale}{rest}'


def _lane(span: Span, first: int, width: float) -> str:
    left = (span.start_ms - first) / width * 100
    right = 100.0 if span.end_ms is None else max((span.end_ms - first) / width * 100, left)
    took = "open" if span.end_ms is None else _duration(span.end_ms - span.start_ms)
    return (
        f'<div class="lane">{_tag("span", f"{span.event_id} {span.label}", "label")}<div class="track">'
        f'<div class="bar {span.verdict.value}" style="left:{left:.3f}%;width:{max(right - left, 0.6):.3f}%"></div>'
        f"</div>{_tag('span', took, 'took')}</div>"
    )


def _duration(ms: int) -> str:
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms / 1000
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 7200
        else (f"{seconds / 3600:.1f} h")
    )


def _next(step: NextStep) -> str:
    keys = "".join(_tag("code", key, "key") for key in step.keys)
    return f"<li><p>{escape(step.what)}</p>{keys}</li>"


def _key(key: StateKey) -> str:
    size = f"{key.size_bytes:,}" if key.size_bytes else ""
    cells = f'<td class="number">{key.count:,}</td><td class="number">{size}</td>'
    return f"<tr><td>{_tag('code', key.key, 'key')}</td>{cells}{_tag('td', key.meaning)}</tr>"
