"""Where histories come from: files, folders, patterns, text, values."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from tenuto._wire.history import WorkflowHistory, import_json
from tenuto.errors import UnreadableHistory

HistorySource: TypeAlias = "WorkflowHistory | Path | str | bytes | Mapping[str, Any]"
# Several times what the largest history takes as JSON; more is no history.
_MAX_FILE_BYTES: Final = 512 << 20


class NothingFound(ValueError):
    """No history is where one was asked for; the message says where."""


def read_source(history: HistorySource) -> tuple[WorkflowHistory, str]:
    """Return a history and what to call its source: a file's path, else empty.

    Args:
        history: a history; a `Path`; the exported JSON as text, bytes or parsed; any other text is a path.

    Raises:
        UnreadableHistory: it cannot be read.
    """
    match history:
        case WorkflowHistory():
            return history, ""
        case Mapping():
            return import_json(json.dumps(history)), ""
        case bytes():
            return import_json(history), ""
        case str() if history.lstrip().startswith(("{", "[")):
            return import_json(history), ""
        case _:
            return read_file(Path(history)), str(history)


def read_file(path: Path) -> WorkflowHistory:
    """Read an exported history.

    Raises:
        UnreadableHistory: the file cannot be read, or holds no exported history.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise UnreadableHistory(
                f"{path} has {size:,} bytes, and no history has more than {_MAX_FILE_BYTES:,}", source=str(path)
            )
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableHistory):
            raise
        raise UnreadableHistory(f"{path} cannot be read: {error}", source=str(path)) from error
    return import_json(content, source=str(path))


def find_files(places: Iterable[str | Path]) -> list[Path]:
    """Return the files that `places` mean, sorted, each once.

    Args:
        places: files; folders, of which all `*.json` are taken, at any depth; patterns such as `histories/**/*.json`.

    Raises:
        NothingFound: a place holds no file.
    """
    found: dict[Path, None] = {}
    for place in places:
        path = Path(place)
        if path.is_dir():
            files = sorted(path.rglob("*.json"))
        elif path.is_file() or not glob.has_magic(str(place)):
            files = [path]
        else:
            files = sorted(Path(one) for one in glob.glob(str(place), recursive=True) if Path(one).is_file())  # noqa: PTH207  # Path.glob takes no absolute pattern
        if not files or not files[0].exists():
            raise NothingFound(f"there is no history at {place}")
        found.update(dict.fromkeys(files))
    return list(found)
