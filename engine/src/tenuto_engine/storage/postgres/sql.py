"""The driver's SQL as data: named statements, the server's functions, numbered migrations.

A migration's name is `NNNN_pre_…` or `NNNN_post_…`. *Pre*: applied before the code is upgraded, by the first engine
that knows it; the release before must go on working with it. *Post*: applied when no engine of the release before is
left.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

_FOLDER = files("tenuto_engine.storage.postgres")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)
_FILE = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One step from layout `number - 1` to layout `number`."""

    number: int
    phase: str
    script: str


def _read_named(text: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    return {name: _COMMENT.sub("", body).strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _read_migration(entry: Traversable) -> Migration:
    named = _FILE.fullmatch(entry.name)
    assert named, f"{entry.name} is no name of a migration: NNNN_pre_what.sql or NNNN_post_what.sql"
    return Migration(int(named[1]), named[2], entry.read_text())


def read_migrations() -> list[Migration]:
    """Return the migrations in order: the first makes layout 1 of an empty schema."""
    entries = sorted((_FOLDER / "migrations").iterdir(), key=lambda entry: entry.name)
    migrations = [_read_migration(entry) for entry in entries if entry.name.endswith(".sql")]
    numbers = [each.number for each in migrations]
    assert numbers == list(range(1, len(numbers) + 1)), f"migrations are not numbered 1, 2, 3, ...: {numbers}"
    return migrations


QUERIES = _read_named((_FOLDER / "queries.sql").read_text())
# In the order of the file: a function follows the types and functions that its declaration names.
CODE = tuple(_read_named((_FOLDER / "code.sql").read_text()).values())
CODE_HASH = hashlib.sha256("\n".join(CODE).encode()).hexdigest()[:8]
