"""Where things stand: folders that are roles, names that shadow nothing, tests that a suite runs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter

from architecture.tree import PACKAGES, ROOT, listed, modules_of_tests, parse, settings, tracked
from suites import SUITES

ROLES = ("operator", "engine", "sdk")
# Written so that this file does not contain what it forbids.
HOSTS = ("pypi" + ".org", "python" + "hosted", "registry.npm" + "js", "proxy.go" + "lang", "static.crates" + ".io")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|farm|home/\w+)/|/root/\.|/Users/\w+/")


def test_role_folders_are_no_packages() -> None:
    """No module stands directly in operator/, engine/ or sdk/: a package `operator` would hide the standard one."""
    assert [str(path) for role in ROLES for path in (ROOT / role).glob("*.py")] == []
    assert [str(path) for role in ROLES for path in (ROOT / role / "src").glob("*.py")] == []


def test_packages_shadow_no_standard_module() -> None:
    """No importable package or top-level test folder package carries a standard module's name."""
    importable = {path.name for role in (*ROLES, "proto") for path in (ROOT / role / "src").iterdir() if path.is_dir()}
    assert importable == set(PACKAGES)
    assert importable & sys.stdlib_module_names == set()
    # Packages of the linter's corpus are code to look at.
    packages = [path for path in (ROOT / "tests").rglob("__init__.py") if "corpus" not in path.parts]
    assert list(map(str, packages)) == []


def test_standard_operator_is_the_standard_one() -> None:
    """From the repository's root, `import operator` still finds the standard library."""
    program = "import operator, sysconfig; assert operator.__file__.startswith(sysconfig.get_path('stdlib'))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_packages_are_typed() -> None:
    """Every member ships py.typed, so that its users' type checkers believe its annotations."""
    assert [name for name, folder in PACKAGES.items() if not (folder / "py.typed").exists()] == []


def test_every_test_folder_belongs_to_one_suite() -> None:
    """A test module that no suite runs, or that two suites run, does not exist."""
    paths = [path for suite in SUITES for path in suite.paths]
    claims = Counter(
        module.where for module in modules_of_tests() for path in paths if module.where.startswith(f"{path}/")
    )
    assert {module.where: claims[module.where] for module in modules_of_tests() if claims[module.where] != 1} == {}


def test_test_modules_have_unique_names() -> None:
    """Two test modules never share a basename: reports and selections name them by it."""
    names = Counter(module.path.name for module in modules_of_tests())
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_no_file_names_a_registry_or_a_machine() -> None:
    """Tracked files name no package registry's host and no path of the machine they were written on."""
    found: list[str] = []
    for path in tracked():
        if path == ROOT / "tests/architecture/test_layout.py":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)} names {host}" for host in HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)} holds {match[0]}" for match in MACHINE_PATHS.finditer(text)]
    assert not found, listed(found)


def test_requirements_are_pinned_and_hashed() -> None:
    """Everything installed is pinned to one version whose hash is known."""
    for name in ("bootstrap.txt", "dev.txt"):
        lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        pins = [line for line in lines if line and not line.lstrip().startswith("#")]
        assert pins
        assert [line for line in pins if "==" not in line or "--hash=sha256:" not in line] == []


def test_every_suppression_names_its_rule() -> None:
    """A `noqa`, `type: ignore` or `pyright: ignore` names the rule that it silences."""
    blanket = re.compile(r"#\s*(noqa(?!:)|type:\s*ignore(?!\[)|pyright:\s*ignore(?!\[))")
    folders = ("sdk", "engine", "operator", "scripts", "examples", "benchmarks", "tests")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if blanket.search(line) and path.name != "test_layout.py"
    ]
    assert not found, listed(found)


def test_tests_do_not_sleep() -> None:
    """No test waits for time to pass: it waits for a condition, or its clock is virtual.

    What the linter is tested on is read and never run.
    """
    read = ("tests/lint/fixtures/", "tests/lint/corpus/", "tests/lint/lesson/")
    found: list[str] = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if str(path.relative_to(ROOT)).startswith(read):
            continue
        for node in ast.walk(parse(path).tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found, listed(found)


def test_workspace_lists_its_members() -> None:
    """The workspace's members are the folders that hold a pyproject.toml, and no other."""
    members = settings()["tool"]["uv"]["workspace"]["members"]
    assert sorted(members) == sorted(path.parent.name for path in ROOT.glob("*/pyproject.toml"))
