"""Pages of rules and of error codes, found by whatever somebody calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from tenuto._lint.registry import all_rules, page_path
from tenuto._lint.rule import Rule

_PAGES = Path(__file__).parent / "pages"


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        name: the rule's id, or the error code.
        title: what it is about, in a line.
        text: the page, as Markdown.
        rule: the rule; None for an error code.
    """

    name: str
    title: str
    text: str
    rule: Rule | None


@cache
def all_pages() -> dict[str, Page]:
    """Return the pages of all rules, by id, then those of the error codes."""
    pages: dict[str, Page] = {}
    for rule in all_rules().values():
        pages[rule.id] = _read(page_path(rule), rule.id, rule)
    for path in sorted(_PAGES.glob("*.md")):
        pages[path.stem.upper()] = _read(path, path.stem.upper(), None)
    return pages


def find_page(asked: str) -> Page | None:
    """Return the page of a rule's id (`TEN181`, `181`), a rule's name (`set-order`) or an error code; None for none."""
    words = asked.strip().upper().replace(" ", "_")
    pages = all_pages()
    if words in pages:
        return pages[words]
    if number := re.fullmatch(r"[A-Z]?(\d{3})", words):
        return pages.get(f"TEN{number[1]}")
    name = words.lower().replace("_", "-")
    return next((page for page in pages.values() if page.rule is not None and page.rule.name == name), None)


def closest(asked: str) -> list[str]:
    """Return at most three ids, names or codes that are spelled much like what was asked for, the closest first."""
    known = {page.name.lower(): page.name for page in all_pages().values()}
    known |= {page.rule.name: page.rule.name for page in all_pages().values() if page.rule is not None}
    return [known[one] for one in get_close_matches(asked.strip().lower(), known, n=3, cutoff=0.5)]


def _read(path: Path, name: str, rule: Rule | None) -> Page:
    text = path.read_text(encoding="utf-8")
    return Page(name, text.partition("\n")[0].partition(": ")[2], text, rule)
