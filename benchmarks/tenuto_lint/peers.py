"""Runs the other linters over the translated corpus, in an environment of their own."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
import time
import venv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lint.judging import Said
from lint.labels import CORPUS, Case
from tenuto_lint.roles import Roles, read_roles
from tenuto_lint.translation import Translated, to_aws, to_temporal

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "lint-peers.txt"
ENVIRONMENT = ROOT / ".cache" / "lint-peers"
_TEXT_LINE = re.compile(r"(?P<path>.+?):(?P<line>\d+):\d+: (?P<rule>[A-Z]+\d+) ")


class PeerFailed(Exception):
    """Another linter could not be installed or run; the message holds its output."""


@dataclass(frozen=True)
class Peer:
    """Another linter.

    Attributes:
        name: its name on the package index, and its command.
        translate: rewrites a module for it.
        rules: those about determinism. Its others ask things of Temporal that no Tenuto code can answer.
        arguments: of its command, before the folder.
        read: findings in its output.
    """

    name: str
    translate: Callable[[str, Roles], Translated]
    rules: tuple[str, ...]
    arguments: tuple[str, ...]
    read: Callable[[str], Iterator[tuple[str, int, str]]]


def _read_text(output: str) -> Iterator[tuple[str, int, str]]:
    for line in output.splitlines():
        if match := _TEXT_LINE.match(line):
            yield match["path"], int(match["line"]), match["rule"]


def _read_json(output: str) -> Iterator[tuple[str, int, str]]:
    findings: list[dict[str, Any]] = json.loads(output)["findings"]
    for finding in findings:
        yield finding["file"], finding["line"], finding["rule"]


PEERS = (
    Peer("temporalint", to_temporal, ("TPL007", "TPL008", "TPL009"), ("--select", "TPL007,TPL008,TPL009"), _read_text),
    Peer(
        "replayguard", to_aws, ("RG001", "RG002", "RG003", "RG004", "RG005"), ("check", "--format", "json"), _read_json
    ),
)


def install() -> dict[str, str]:
    """Install the pinned versions where they are not there yet; return them by name.

    Raises:
        PeerFailed: pip could not.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    stamp = ENVIRONMENT / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest:
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        done = subprocess.run(
            [*pip, "--require-hashes", "-r", str(REQUIREMENTS)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PeerFailed(f"pip could not install {REQUIREMENTS.name}: {done.stderr.strip()}")
        stamp.write_text(digest, encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE))


def said_by(peer: Peer, cases: Sequence[Case]) -> tuple[dict[str, list[Said]], float]:
    """Run a peer over the translated corpus; return what it said, by case, and how many seconds it took.

    Raises:
        PeerFailed: it ended by an error of its own.
    """
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        origins = {case.name: _translate(case, peer, root) for case in cases}
        began = time.perf_counter()
        command = [str(ENVIRONMENT / "bin" / peer.name), *peer.arguments, str(root)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode not in {0, 1}:
            raise PeerFailed(f"{peer.name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        places = [(Path(path), line, rule) for path, line, rule in peer.read(done.stdout) if rule in peer.rules]
    by_file: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for path, line, rule in places:
        by_file[(root / path).relative_to(root).as_posix()].add((line, rule))
    said: dict[str, list[Said]] = {}
    for case, files in origins.items():
        found = {
            Said(path, origin[line - 1], rule) for path, origin in files.items() for line, rule in by_file.get(path, ())
        }
        said[case] = sorted(found)
    return said, seconds


def _translate(case: Case, peer: Peer, root: Path) -> dict[str, list[int]]:
    """Write a case's modules into a folder; return the original line of every line, by file."""
    sources = {file: file.read_text(encoding="utf-8") for file in case.files}
    roles = read_roles(ast.parse(source) for source in sources.values())
    origins: dict[str, list[int]] = {}
    for file, source in sources.items():
        name = file.relative_to(CORPUS).as_posix()
        translated = peer.translate(source, roles)
        try:
            ast.parse(translated.text)
        except SyntaxError as error:
            sys.exit(f"{name} could not be translated for {peer.name}: {error}")
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(translated.text, encoding="utf-8")
        origins[name] = translated.lines
    return origins
