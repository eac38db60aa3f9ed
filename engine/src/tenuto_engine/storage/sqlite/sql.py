"""The driver's SQL as data: named statements and numbered migrations, read from the files beside this one."""

from __future__ import annotations

import re
from importlib.resources import files

_FOLDER = files("tenuto_engine.storage.sqlite")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)


def _read_queries(text: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    return {name: _COMMENT.sub("", body).strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def read_migrations() -> list[str]:
    """Return the migrations in order: the first makes layout 1 of an empty file, number n makes n of n - 1."""
    scripts = sorted((entry.name, entry) for entry in (_FOLDER / "migrations").iterdir() if entry.name.endswith(".sql"))
    numbers = [int(name.split("_")[0]) for name, _ in scripts]
    assert numbers == list(range(1, len(numbers) + 1)), f"migrations are not numbered 1, 2, 3, ...: {numbers}"
    return [entry.read_text() for _, entry in scripts]


QUERIES = _read_queries((_FOLDER / "queries.sql").read_text())
