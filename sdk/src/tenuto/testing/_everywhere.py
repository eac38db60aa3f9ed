"""A crash at every place there is: one run of a scenario for each, which must come to the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tenuto.testing._effects import Effects
from tenuto.testing._faults import Crash, Party


@dataclass(slots=True)
class CrashReport:
    """What `crash_everywhere` did.

    Args:
        result: what the scenario returned, without a crash and with each.
        places: the places that the undisturbed run reached, in order.
        crashes: how many runs had a crash; where several things happen at once, a place may not be reached again.
    """

    result: Any
    places: list[str] = field(default_factory=list[str])
    crashes: int = 0


class Comparison:
    """Holds the runs with a crash against the one without.

    Args:
        result: of that one.
        effects: what it left in the store.
        places: that it reached.
    """

    def __init__(self, result: Any, effects: Mapping[str, Effects], places: list[str]) -> None:
        self.report = CrashReport(result, places)
        self._effects = effects

    def crashes(self) -> Iterator[Crash]:
        """Every crash to be tried: of each party at each place."""
        for party in Party:
            for number in range(1, len(self.report.places) + 1):
                yield Crash(party, "", number)

    def place(self, crash: Crash) -> str:
        """Where a crash happens, in words."""
        places = self.report.places
        return f"the {crash.party.value} crashed at place {crash.nth} of {len(places)}, {places[crash.nth - 1]}"

    def hold(self, result: Any, effects: Mapping[str, Effects], *, has_crashed: bool) -> None:
        """Compare a run. Raises AssertionError."""
        self.report.crashes += has_crashed
        if result != self.report.result:
            raise AssertionError(f"the scenario returned {result!r}, and without a crash {self.report.result!r}")
        if effects.keys() != self._effects.keys():
            raise AssertionError(
                f"there are the instances {sorted(effects)}, and without a crash {sorted(self._effects)}"
            )
        for instance_id, known in self._effects.items():
            if text := known.difference(effects[instance_id]):
                raise AssertionError(f"instance '{instance_id}': {text}")
