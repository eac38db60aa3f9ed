"""`tenuto explain`: the page of a lint rule or of an error code, or the list of them all."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markdown import Markdown
from rich.text import Text

from tenuto._cli.exits import Exit
from tenuto._cli.session import Session, session_of
from tenuto._cli.tables import table_of
from tenuto._lint.explaining import Page, all_pages, closest, find_page
from tenuto._lint.rule import Profile


def explain(
    context: typer.Context,
    rule: Annotated[str | None, typer.Argument(metavar="[RULE]", help="Its id or name, or an error code.")] = None,
) -> None:
    """Explain a lint rule or an error code: what it finds, why it breaks, what to use instead; alone: list them all."""
    session = session_of(context)
    if rule is None:
        session.show([_entry(page) for page in all_pages().values()], _listing())
        return
    page = find_page(rule)
    if page is None:
        near = closest(rule)
        advice = f"did you mean {' or '.join(near)}?" if near else "`tenuto explain` lists them all"
        session.stop(f"there is no rule or error code {rule!r}; {advice}", Exit.USAGE)
    _show(session, page)


def _show(session: Session, page: Page) -> None:
    if session.is_json:
        session.show({**_entry(page), "page": page.text}, "")
    elif session.console.is_terminal:
        session.console.print(Markdown(page.text))
    else:
        session.show(None, page.text.rstrip())


def _entry(page: Page) -> dict[str, Any]:
    rule = page.rule
    return {
        "name": page.name,
        "title": page.title,
        "rule": None if rule is None else rule.name,
        "profile": None if rule is None else rule.profile.value,
        "severity": None if rule is None else rule.severity.value,
    }


def _listing() -> Group:
    """All pages by profile, each profile with what it holds beside those before it."""
    parts: list[Any] = []
    for heading, pages in _groups():
        table = table_of("", "", "")
        table.show_header = False
        for page in pages:
            name = "" if page.rule is None else f"{page.rule.name} ({page.rule.severity.value})"
            table.add_row(page.name, name, page.title)
        parts += [Text(heading, style="bold"), table, ""]
    return Group(*parts[:-1])


def _groups() -> list[tuple[str, list[Page]]]:
    pages = list(all_pages().values())
    groups = [
        (f"profile {one.value}", [page for page in pages if page.rule and page.rule.profile is one]) for one in Profile
    ]
    groups.append(("error codes", [page for page in pages if page.rule is None]))
    return [group for group in groups if group[1]]
