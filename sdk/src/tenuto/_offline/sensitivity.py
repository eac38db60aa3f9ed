"""What a perturbation check finds of one history, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tenuto._offline.perturbations import Perturbation
from tenuto._offline.transcripts import Difference

# Of the most likely ones; the rest is in the JSON.
_MOST_RULES: Final = 2


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One perturbation that changes what a history's replay asks for.

    Args:
        perturbation: what was changed.
        difference: the first difference it makes; left is the unchanged replay.
        hits: how many of the tries showed one.
        tries: how many there were.
    """

    perturbation: Perturbation
    difference: Difference
    hits: int
    tries: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-compatible values."""
        left, right = self.difference.sides()
        where = self.difference.where
        return {
            "perturbation": self.perturbation.name,
            "operation": where.event_id,
            "kind": where.kind,
            "name": where.name,
            "source": where.source,
            "field": self.difference.field,
            "unchanged": left,
            "changed": right,
            "hits": self.hits,
            "tries": self.tries,
            "rules": list(self.perturbation.rules),
        }


def describe(sensitivities: Sequence[Sensitivity]) -> str:
    """The finding as text for people, most telling first."""
    names = ", ".join(one.perturbation.name for one in sensitivities)
    lines = [f"UNSTABLE: the replay depends on its surroundings: {names}"]
    for one in sensitivities:
        left, right = one.difference.sides()
        field = f", {one.difference.field}" if one.difference.field else ""
        tries = f" ({one.hits} of {one.tries} tries)" if one.tries > 1 else ""
        lines += [
            f"  with {one.perturbation.changed}{tries}:",
            f"    {one.difference.where.headline}{field}",
            f"      unchanged: {left}",
            f"      changed:   {right}",
            f"    likely: {one.perturbation.likely}",
        ]
        lines += [f"    more: tenuto explain {rule}" for rule in one.perturbation.rules[:_MOST_RULES]]
    return "\n".join(lines)
