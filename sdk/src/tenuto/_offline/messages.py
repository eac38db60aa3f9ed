"""What passes between the perturbation check and its replay processes, as JSON."""

from __future__ import annotations

import msgspec

from tenuto._offline.perturbations import Surroundings
from tenuto._offline.transcripts import Entry


class Order(msgspec.Struct, frozen=True):
    """What to be.

    Args:
        target: the application as MODULE:RUNTIME.
        paths: where modules are found.
        folder: an empty folder, for those that are to work in another one.
        surroundings: what else is to be different.
    """

    target: str
    paths: list[str]
    folder: str
    surroundings: Surroundings


class Ready(msgspec.Struct, frozen=True):
    """Whether the application could be imported: empty, or why not."""

    refusal: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What three replays of one history asked for, one after another.

    The first one fills caches, its own and Python's, so that objects lie elsewhere in memory than in the others; what
    is compared between processes are the second ones.
    """

    cold: list[Entry]
    first: list[Entry]
    second: list[Entry]
