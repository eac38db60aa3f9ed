"""What was found out about files, kept between runs in `.tenuto_cache/lint`.

One entry per source file, named by its path, holds the facts of one content and the hits of the rules there, with what
these depended on: other modules' contents, the roles of functions, the rules that ran. An entry that is damaged, of
another content or of another version of the linter counts as absent. Entries are replaced whole, so that runs at the
same time do not disturb each other; where nothing can be written, nothing is kept.
"""

from __future__ import annotations

import contextlib
import os
import sys
from hashlib import blake2b
from pathlib import Path

import msgspec

from tenuto._lint.checks import Raw
from tenuto._lint.facts import ModuleFacts

FOLDER = ".tenuto_cache"
# Switching between two sets of rules, as an editor and a hook do, should not empty the cache each time.
_MOST_RESULTS = 3


class Result(msgspec.Struct, frozen=True, array_like=True):
    """Hits in one module.

    Attributes:
        context: tells apart what they depend on within this run: rules, roles of functions, where imports lead.
        depends: the other modules they depend on: path, and content with the roles of its functions.
        hits: what was found.
    """

    context: str
    depends: tuple[tuple[str, str], ...]
    hits: tuple[Raw, ...]


class Entry(msgspec.Struct, array_like=True):
    """One source file."""

    version: str
    path: str
    digest: str
    facts: ModuleFacts
    results: list[Result]


class Cache:
    """The entries of one project.

    Args:
        root: folder in which `.tenuto_cache` lies or is made.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER / "lint"
        self._version = _version()
        self._entries: dict[Path, Entry | None] = {}
        self._changed: set[Path] = set()
        self._decoder = msgspec.msgpack.Decoder(Entry)
        self._encoder = msgspec.msgpack.Encoder()

    def facts(self, path: Path, digest: str) -> ModuleFacts | None:
        """Return the facts of a file, if they are those of this content."""
        entry = self._entry(path)
        return entry.facts if entry is not None and entry.digest == digest else None

    def keep_facts(self, path: Path, digest: str, facts: ModuleFacts) -> None:
        """Remember the facts of a file; hits in an older content are forgotten."""
        self._entries[path] = Entry(self._version, str(path), digest, facts, [])
        self._changed.add(path)

    def results(self, path: Path, digest: str, context: str) -> list[Result]:
        """Return hits in this content in this context; what they depend on is the caller's to compare."""
        entry = self._entry(path)
        if entry is None or entry.digest != digest:
            return []
        return [one for one in entry.results if one.context == context]

    def keep_result(self, path: Path, result: Result) -> None:
        """Remember hits in a file whose facts are known; of each context the last."""
        entry = self._entry(path)
        if entry is not None:
            others = [one for one in entry.results if one.context != result.context]
            entry.results = [result, *others[: _MOST_RESULTS - 1]]
            self._changed.add(path)

    def save(self) -> None:
        """Write what is new; where that fails nothing is kept."""
        # A cache that cannot be written costs time, and must not cost the run.
        with contextlib.suppress(OSError):
            if self._changed:
                self._folder.mkdir(parents=True, exist_ok=True)
                ignore = self._folder.parent / ".gitignore"
                if not ignore.exists():
                    ignore.write_text("*\n", encoding="utf-8")
            for path in self._changed:
                entry = self._entries[path]
                if entry is not None:
                    self._write(self._place(path), self._encoder.encode(entry))
            self._changed.clear()

    def _write(self, place: Path, content: bytes) -> None:
        # Unique per process, and replaced in one step: a reader sees the old entry or the new one.
        temporary = place.with_name(f"{place.name}.{os.getpid()}")
        temporary.write_bytes(content)
        temporary.replace(place)

    def _entry(self, path: Path) -> Entry | None:
        if path not in self._entries:
            self._entries[path] = self._read(path)
        return self._entries[path]

    def _read(self, path: Path) -> Entry | None:
        try:
            entry = self._decoder.decode(self._place(path).read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        return entry if entry.version == self._version and entry.path == str(path) else None

    def _place(self, path: Path) -> Path:
        return self._folder / blake2b(str(path).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _version() -> str:
    """What facts and hits depend on beside the sources: this linter's own files, and the grammar of this Python."""
    digest = blake2b(repr(sys.version_info[:3]).encode(), digest_size=16)
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.glob("rules/*.py")]):
        status = path.stat()
        digest.update(f"{path.name}:{status.st_size}:{status.st_mtime_ns};".encode())
    return digest.hexdigest()
