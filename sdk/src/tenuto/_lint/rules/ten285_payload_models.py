"""TEN285: models of payloads that cannot read what was recorded at the base."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.drift.payloads import payload_breaks
from tenuto._lint.drift.view import BaseView
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Rule


def _check(view: BaseView) -> Iterator[Hit]:
    for what, found in payload_breaks(view):
        yield view.hit(
            found.place,
            f"{what}: {found.message}",
            breaks=f"The {what}, recorded by {view.name}, is decoded again whenever an instance is replayed or an "
            "attempt is repeated: PayloadError, and the workflow or the call fails.",
            instead=found.instead,
            severity=None if found.is_certain else Severity.WARNING,
        )


RULE = Rule(
    id="TEN285",
    name="payload-models",
    message="a payload that was recorded cannot be decoded any more",
    why="Inputs and results are recorded as JSON, and decoded by the annotations of today's code when they are read.",
    breaks="A payload that was recorded before does not fit the annotation: PayloadError.",
    instead="Change models so that they read what was recorded before: new fields with defaults, types by union.",
    check_base=_check,
)
