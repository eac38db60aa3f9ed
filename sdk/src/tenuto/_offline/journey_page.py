"""A journey as one self-contained HTML page: no request leaves it, and nothing in it is trusted markup.

Frame, style and script stand in `journey.html`. The stops go into it as JSON, which its script turns into text nodes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from importlib import resources

from tenuto._offline.journey import Journey


def journey_page(journey: Journey) -> str:
    """Return the page, ready to be written to a file as UTF-8."""
    frame = resources.files("tenuto._offline").joinpath("journey.html").read_text(encoding="utf-8")
    marks = {
        "title": escape(f"Replay of {journey.instance_id}"),
        "workflow": escape(journey.workflow),
        "instance": escape(journey.instance_id),
        "problem": f'<section class="card problem"><pre>{escape(journey.problem)}</pre></section>'
        if journey.problem
        else "",
        # A script element ends at the first "</", and JSON may write it otherwise.
        "journey": json.dumps([asdict(stop) for stop in journey.stops]).replace("<", "\\u003c"),
    }
    # One pass over the frame, so that a mark inside a value is text and not filled in again.
    parts = frame.split("{{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition("}}")
        filled += [marks[name], rest]
    return "".join(filled)
