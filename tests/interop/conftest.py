from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.programs import Addresses, serving


@pytest.fixture(scope="session")
def both_dialects() -> Iterator[Addresses]:
    """One engine for all programs: their instances have ids of their own."""
    with serving() as addresses:
        yield addresses
