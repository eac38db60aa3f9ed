"""What the linter tells: findings, and the edits that would put them right."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a finding is: an `error` breaks replays, a `warning` may, an `info` is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst; a finding fails a run where its rank is at most that of the run's level."""
        return _RANKS[self]


_RANKS = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class Edit(msgspec.Struct, frozen=True):
    """Replaces a stretch of source text.

    Lines count from 1; columns from 0, in characters. The end is exclusive; an empty stretch inserts.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Fix(msgspec.Struct, frozen=True):
    """A change that puts a finding right.

    Attributes:
        title: what it does, as a command: `replace by ctx.new_uuid()`.
        edits: what changes in the finding's file; they do not overlap.
        imports: what must be importable by these names afterwards: `("datetime", "timedelta")` for
            `from datetime import timedelta`, `("zlib", "")` for `import zlib`.
        is_safe: whether `--fix` may apply it unasked: the code then does what was meant, in every case.
    """

    title: str
    edits: tuple[Edit, ...] = ()
    imports: tuple[tuple[str, str], ...] = ()
    is_safe: bool = True


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One place in the code, and what a rule has to say about it.

    Attributes:
        path: the file, as it was given or found; `/` between folders.
        line: first line, from 1.
        column: first column, from 1, in characters.
        end_line: last line.
        end_column: column after the last character.
        rule: the rule's id, such as `TEN101`.
        name: the rule's name, such as `wall-clock`.
        severity: how bad it is, by the rule or by configuration.
        message: what the code does, in a sentence.
        why: why that is not deterministic.
        breaks: what goes wrong when the workflow is replayed.
        instead: what to write.
        fix: the edits that do so; None where no edit is sure enough.
        chain: `file:line function` from the workflow to this place, the workflow first; one entry where the place is
            in the workflow itself; empty where it is in no workflow.
        others: how many more workflows reach the place.
        function: the function that holds the place; empty at module level.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    rule: str
    name: str
    severity: Severity
    message: str
    why: str = ""
    breaks: str = ""
    instead: str = ""
    fix: Fix | None = None
    chain: tuple[str, ...] = ()
    others: int = 0
    function: str = ""
