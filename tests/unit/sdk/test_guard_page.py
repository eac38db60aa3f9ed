"""The page about the guard names what the guard knows."""

from __future__ import annotations

import re
from pathlib import Path

from tenuto._guard import catalog

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "guard.md").read_text(encoding="utf-8")


def test_the_page_names_every_rule_and_no_other() -> None:
    """The table of known calls has the rules of the catalogue."""
    probes = {*catalog.CALLS.values(), *catalog.METHODS.values(), *catalog.EVENTS.values(), *catalog.LIBRARIES.values()}
    probes |= {catalog.SHARED_RANDOM, catalog.UNSEEDED, catalog.FOREIGN_RANDOM}
    known = {probe.rule for probe in probes}
    section = PAGE.split("## What it knows")[1].split("\n## ")[0]
    assert set(re.findall(r"TEN\d{3}", section)) == known


def test_the_page_says_which_calls_are_only_warned_about() -> None:
    """They are the row that says so."""
    doubtful = {probe.rule for probe in catalog.CALLS.values() if not probe.is_certain}
    row = next(line for line in PAGE.splitlines() if "never refused" in line)
    assert set(re.findall(r"TEN\d{3}", row)) == doubtful
