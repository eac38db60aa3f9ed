"""Lines that their author has excepted: `# tenuto: ignore[TEN101] reason`, as for the linter."""

from __future__ import annotations

import linecache
import re
from typing import Final

_PATTERN: Final = re.compile(r"#\s*tenuto:\s*ignore\[([^\]]*)\]", re.IGNORECASE)


def is_suppressed(file: str, line: int, rule: str) -> bool:
    """Whether that line excepts itself from the rule; a file that cannot be read excepts nothing."""
    found = _PATTERN.search(linecache.getline(file, line))
    return found is not None and rule in {name.strip().upper() for name in found[1].split(",")}
