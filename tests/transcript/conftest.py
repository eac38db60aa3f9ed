"""The flag that rewrites transcripts."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/transcript --update-transcripts` writes what the core does now; review it as a diff."""
    parser.addoption("--update-transcripts", action="store_true", help="rewrite the transcripts' answers")
