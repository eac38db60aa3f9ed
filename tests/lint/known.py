"""What our linter is known to miss or to say wrongly on the corpus, by name and profile."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lint.judging import Verdict, in_scope
from lint.labels import CORPUS
from tenuto._lint.rule import Profile

KNOWN = CORPUS / "known.json"


def known_of(verdict: Verdict, profile: Profile) -> dict[str, list[str]]:
    """The lists of one profile."""
    return {
        "missed": sorted(one.name for one in verdict.missed if in_scope(one, profile)),
        "false_alarms": sorted(said.name for said in verdict.wrong),
    }


def read_known(profile: Profile) -> dict[str, list[str]]:
    """The recorded lists of one profile."""
    lists: dict[str, dict[str, list[str]]] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return lists[profile.value]


def write_known(verdicts: Mapping[Profile, Verdict]) -> None:
    """Record the lists of all profiles."""
    lists = {profile.value: known_of(verdict, profile) for profile, verdict in verdicts.items()}
    KNOWN.write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")
