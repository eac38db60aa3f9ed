"""What the documents say is what the tree does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from architecture.tree import ROOT, Definition, Function, definitions, listed, modules_of_tests, settings, sources
from suites import SUITES

DOCUMENTS = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
BRIEF_LINES = 12
RECORD_SECTIONS = ("## Context", "## Decision", "## Consequences", "## Rejected")


def text_of(name: str) -> str:
    """A document of the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def make_targets() -> set[str]:
    """The targets that the Makefile declares."""
    return set(re.findall(r"^([a-z]+):.*##", text_of("Makefile"), re.MULTILINE))


def test_architecture_names_every_import_contract() -> None:
    """ARCHITECTURE.md lists the import contracts under the names by which they are enforced, and no other."""
    enforced = [contract["name"] for contract in settings()["tool"]["importlinter"]["contracts"]]
    section = text_of("ARCHITECTURE.md").split("## Import borders")[1].split("\n## ")[0]
    assert re.findall(r"^\| \*\*(.+?)\*\* \|", section, re.MULTILINE) == enforced


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_only_real_targets(document: Path) -> None:
    """Every `make` target that a document mentions exists."""
    mentioned = set(
        re.findall(r"(?:^|`)(?:TENUTO_\w+=\S+ )?make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert mentioned - make_targets() == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Every relative link of a document points to a file or folder that exists."""
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not broken, listed(broken)


def test_readme_and_continuous_integration_run_the_same() -> None:
    """The README's two commands are `make demo` and `make test`; continuous integration runs the second, alone."""
    assert re.search(r"```(?:sh)?\nmake demo.*\nmake test.*\n```", text_of("README.md"))
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "make" in line and not line.startswith("#")] == ["exec make test"]


def test_contributors_are_told_of_every_suite() -> None:
    """The table of suites in CONTRIBUTING.md has a row for each, and none for what is no suite."""
    rows = [row for row in text_of("CONTRIBUTING.md").splitlines() if row.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(suite.name for suite in SUITES)


def test_every_page_is_linked() -> None:
    """Each page of docs/ can be reached: another document links to it."""
    linked = {
        (document.parent / link).resolve()
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    }
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(page.name for page in pages - linked) == []


def test_every_make_target_explains_itself() -> None:
    """Each phony target has its line in `make help`."""
    phony = re.search(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == make_targets()


def test_decision_records_are_complete() -> None:
    """Each decision record has context, decision, consequences and the options rejected, on one page."""
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert [section for section in RECORD_SECTIONS if section not in text] == [], path.name
        assert text.count("\n") <= 70, f"{path.name} is longer than a page"
        assert path.name in (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")


def test_every_module_says_what_it_is_for() -> None:
    """Each module that holds code opens with a docstring."""
    assert [module.where for module in sources() if module.tree.body and not ast.get_docstring(module.tree)] == []


def test_public_objects_are_documented() -> None:
    """Each function, class and, where users import it, method with a public name has a docstring.

    Excused are records whose fields say all, and, in modules that users cannot import, functions of a few lines
    whose name and types say all.
    """
    missing = [
        found.where
        for module in sources()
        for found in definitions(module)
        if found.is_public and not ast.get_docstring(found.node) and not is_excused(found)
    ]
    assert not missing, listed(missing)


def is_excused(found: Definition) -> bool:
    """Whether a definition may go without a docstring."""
    is_for_users = found.module.name.split(".", maxsplit=1)[0] == "tenuto" and not found.module.is_private
    if is_overload(found.node) or is_plain_record(found.node):
        return True
    is_method = "." in found.qualified
    return not is_for_users and (is_method or line_count(found.node) <= BRIEF_LINES)


def line_count(node: Function | ast.ClassDef) -> int:
    """Lines from the signature to the end."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_plain_record(node: ast.AST) -> bool:
    """Whether a class holds fields and nothing else."""
    return isinstance(node, ast.ClassDef) and all(
        isinstance(part, ast.AnnAssign | ast.Pass | ast.Assign) for part in node.body
    )


def is_overload(node: ast.AST) -> bool:
    """Whether a function only declares one of several signatures."""
    return not isinstance(node, ast.ClassDef) and any(
        ast.unparse(decorator).endswith("overload") for decorator in getattr(node, "decorator_list", ())
    )


def test_tests_are_claims() -> None:
    """Each test's docstring says what is true if it passes."""
    missing = [
        found.where
        for module in modules_of_tests()
        for found in definitions(module)
        if found.qualified.split(".")[-1].startswith("test_") and not ast.get_docstring(found.node)
    ]
    assert not missing, listed(missing)
