"""Python sources of a git revision, read without a checkout: nothing in the work tree or the index is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tenuto._lint.facts import ModuleFacts
from tenuto._lint.project import DiskSources, Module, Project
from tenuto.errors import TenutoError

_SECONDS = 120.0  # A partial clone may have to fetch what it is asked for.
_REGULAR = (b"100644", b"100755")
# A hook runs with these set for its own repository, which need not be the one that is checked.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class BaseUnavailable(TenutoError):
    """There is nothing to compare with: no git, no repository, or no such revision."""


@dataclass(frozen=True)
class BaseSources:
    """What a revision held.

    Attributes:
        name: the revision as it was asked for, with the beginning of its commit's id.
        root: top folder of the work tree.
        paths: Python files of the revision, relative to the root.
        changed: content of those that differ from the work tree, or are gone from it.
    """

    name: str
    root: Path
    paths: frozenset[str]
    changed: dict[str, bytes]

    def files(self, given: Iterable[Path]) -> list[Path]:
        """The files that stood below these absolute paths, in order; hidden folders are left out."""
        found: list[Path] = []
        for name in sorted(self.paths):
            path = self.root / name
            if any(path == one.resolve() or one.resolve() in path.parents for one in given) and "/." not in f"/{name}":
                found.append(path)
        return found

    def project(self, modules: Iterable[Module]) -> Project:
        """The project at this revision; of modules of today that have not changed, what is known is taken over."""
        return Project(_RevisionFiles(self), KnownFacts(modules))


class _RevisionFiles:
    """Files as a revision held them; what is no Python file of the repository is read from the disk."""

    def __init__(self, base: BaseSources) -> None:
        self._disk = DiskSources()
        self._base = base
        self._folders = {parent.as_posix() for path in base.paths for parent in Path(path).parents}

    def read(self, path: Path) -> bytes:
        """As `Sources`."""
        inside = self._inside(path)
        if inside is None or inside in self._base.paths - self._base.changed.keys():
            return self._disk.read(path)
        if inside not in self._base.changed:
            raise FileNotFoundError(f"{path} did not exist at {self._base.name}")
        return self._base.changed[inside]

    def is_file(self, path: Path) -> bool:
        """As `Sources`."""
        inside = self._inside(path)
        return self._disk.is_file(path) if inside is None else inside in self._base.paths

    def is_folder(self, path: Path) -> bool:
        """As `Sources`."""
        relative = self._relative(path)
        return (relative is not None and relative.as_posix() in self._folders) or self._disk.is_folder(path)

    def _inside(self, path: Path) -> str | None:
        relative = self._relative(path)
        return relative.as_posix() if relative is not None and path.suffix == ".py" else None

    def _relative(self, path: Path) -> Path | None:
        return path.relative_to(self._base.root) if path.is_relative_to(self._base.root) else None


class KnownFacts:
    """Facts of modules that were read before, by content; as `FactsCache`."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._facts = {(module.path, module.digest): module.facts for module in modules}

    def facts(self, path: Path, digest: str) -> ModuleFacts | None:
        """As `FactsCache`."""
        return self._facts.get((path, digest))

    def keep_facts(self, path: Path, digest: str, facts: ModuleFacts) -> None:
        """As `FactsCache`; nothing is kept: a project of the base is looked at once."""


def read_base(revision: str, folder: Path) -> BaseSources:
    """Reads the Python files of a revision.

    Args:
        revision: whatever git understands: `origin/main`, a tag, an id.
        folder: any folder of the work tree.

    Raises:
        BaseUnavailable: see there; the message says what to do.
    """
    git = _Git(folder)
    root = git.root()
    git = _Git(root)
    commit = git.commit(revision)
    entries = _tree(git.run("ls-tree", "-r", "-z", "--full-tree", commit))
    # With the work tree, whatever the index holds; a renamed file is one that is gone and one that is new.
    differing = git.run(
        "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules", commit, "--"
    )
    names = {_text(name) for name in differing.split(b"\0") if name}
    wanted = {path: blob for path, blob in entries.items() if path in names}
    return BaseSources(
        name=revision if commit.startswith(revision) else f"{revision} ({commit[:8]})",
        root=root,
        paths=frozenset(entries),
        changed=dict(zip(wanted, git.blobs(wanted.values()), strict=True)),
    )


class _Git:
    """Runs git in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
        self._environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """The output of a command. Raises `BaseUnavailable` with what git says."""
        finished = self._call(arguments, given)
        if finished.returncode != 0:
            said = _text(finished.stderr).strip() or f"exit code {finished.returncode}"
            raise BaseUnavailable(f"git {arguments[0]} failed in {self._folder}: {said}")
        return finished.stdout

    def root(self) -> Path:
        """The top folder of the work tree."""
        finished = self._call(("rev-parse", "--show-toplevel"), b"")
        if finished.returncode != 0:
            said = _text(finished.stderr).strip()
            if "dubious ownership" in said:
                raise BaseUnavailable(f"git refuses to read {self._folder}: {said}")
            raise BaseUnavailable(
                f"{self._folder} is in no git repository, so there is no base to compare with; leave --base out, or "
                "run in a clone"
            )
        return Path(_text(finished.stdout).rstrip("\n"))

    def commit(self, revision: str) -> str:
        """The id of a revision's commit."""
        finished = self._call(("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"), b"")
        if not revision or finished.returncode != 0:
            raise BaseUnavailable(
                f"there is no revision '{revision}' in {self._folder}; name a branch, tag or commit that is here, or "
                f"fetch it first (CI often clones without history: git fetch origin, or fetch-depth: 0)"
            )
        return _text(finished.stdout).split("\n", maxsplit=1)[0]

    def blobs(self, ids: Iterable[str]) -> list[bytes]:
        """The contents of blobs, in the order asked for."""
        wanted = list(ids)
        answer = self.run("cat-file", "--batch", given="".join(f"{one}\n" for one in wanted).encode())
        contents: list[bytes] = []
        at = 0
        for one in wanted:
            end = answer.index(b"\n", at)
            header = _text(answer[at:end]).split(" ")
            if header[-1] == "missing":
                raise BaseUnavailable(f"object {one} is missing in the repository; fetch it, or run git fsck")
            size = int(header[2])
            contents.append(answer[end + 1 : end + 1 + size])
            at = end + 2 + size
        return contents

    def _call(self, arguments: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self._folder,
                env=self._environment,
                input=given,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise BaseUnavailable("--base needs git, and there is none on the PATH") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BaseUnavailable(f"git {arguments[0]} did not run in {self._folder}: {error}") from error


def _tree(listing: bytes) -> dict[str, str]:
    """Python files and their blobs. Links are left out: what they hold is a path."""
    entries: dict[str, str] = {}
    for line in listing.split(b"\0"):
        meta, _, name = line.partition(b"\t")
        mode, _, rest = meta.partition(b" ")
        if mode in _REGULAR and name.endswith(b".py"):
            entries[_text(name)] = _text(rest.partition(b" ")[2])
    return entries


def _text(data: bytes) -> str:
    return os.fsdecode(data)
