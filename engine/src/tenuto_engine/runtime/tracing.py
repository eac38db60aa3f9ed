"""Traces across a workflow's life: W3C trace context from the start through turns, activities and children."""

from __future__ import annotations

import re

_TRACE_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def sampled_trace_id(trace_parent: str) -> str:
    """The trace's id if it is recorded somewhere, else empty: an exemplar of another would lead nowhere."""
    if not trace_parent or not _TRACE_PARENT.fullmatch(trace_parent) or not int(trace_parent[53:], 16) & 1:
        return ""
    return trace_parent[3:35]
