"""The guard's tests on later Pythons, where `sys.monitoring` takes the place of `sys.setprofile`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKED = ROOT / "requirements" / "dev.txt"
# What those tests import, and the plugins that the settings of pytest name.
NEEDED = frozenset(
    {"coverage", "grpcio", "msgspec", "protobuf", "pytest", "pytest-asyncio", "pytest-timeout", "uvloop"}
)
SOURCES = ("sdk/src", "proto/src", "engine/src")
SECONDS = 100  # until something is certainly wrong


def interpreter(version: str) -> Path | None:
    """A Python of that version, on the path or beside it as pyenv keeps them."""
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    candidates = [Path(found), *sorted(Path(found).parents[1].glob(f"versions/{version}.*/bin/python"))]
    for candidate in candidates:
        asked: list[str | Path] = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == version:
            return candidate
    return None


def locked_subset() -> str:
    """The pinned and hashed lines of what is needed, and of what that needs."""
    found = re.finditer(r"^([a-z0-9-]+)(?:\[.*?\])?==.*(?:\n .*)*", LOCKED.read_text(encoding="utf-8"), re.MULTILINE)
    texts = {match[1]: match[0] for match in found}
    wanted = set(NEEDED)
    while more := {name for name, text in texts.items() if name not in wanted and wanted & asked_by(text)}:
        wanted |= more
    return "\n".join(texts[name] for name in sorted(wanted)) + "\n"


def asked_by(block: str) -> set[str]:
    """Who asks for a package, as the lock file notes it."""
    return set(re.findall(r"^ +#(?: via)? +([a-z0-9-]+)$", block, re.MULTILINE))


def environment_of(python: Path) -> Path:
    """The interpreter of an environment with what is needed; made once per interpreter and lock."""
    subset = locked_subset()
    key = hashlib.sha256(f"{python}\n{subset}".encode()).hexdigest()[:16]
    folder = ROOT / ".cache" / f"newer-python-{key}"
    made = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        (folder / "requirements.txt").write_text(subset, encoding="utf-8")
        pip: list[str | Path] = [
            made,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--require-hashes",
            "--no-deps",
        ]
        subprocess.run([*pip, "-r", folder / "requirements.txt"], check=True)
        (folder / "complete").touch()
    return made


@pytest.mark.timeout(300)  # The first time on a machine, packages are fetched.
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_guard_works_on_later_pythons(version: str) -> None:
    """All its unit tests pass there."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no python{version} on the path")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("TENUTO_", "PYTHON"))}
    variables |= {"PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in SOURCES)}
    tests = [str(path) for path in sorted((ROOT / "tests" / "unit" / "sdk").glob("test_guard_*.py"))]
    assert tests
    ran = subprocess.run(
        [environment_of(python), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert "failed" not in ran.stdout
