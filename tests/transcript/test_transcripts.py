"""Each transcript holds what the core does: a change of behaviour shows as a diff of text that a reader can judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from transcript.script import rewritten

FOLDER = Path(__file__).parent
TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    """The commands of this file have exactly the answers that stand below them."""
    recorded = path.read_text(encoding="utf-8")
    now = rewritten(recorded)
    if request.config.getoption("--update-transcripts", default=False):
        path.write_text(now, encoding="utf-8")
        return
    assert now.splitlines() == recorded.splitlines(), (
        "run pytest tests/transcript --update-transcripts, review the diff"
    )


def test_features_have_transcripts() -> None:
    """Every feature of the core has its file."""
    assert {path.stem for path in TRANSCRIPTS} == {
        "activity",
        "child",
        "continue_as_new",
        "external_event",
        "limits",
        "oversized_turn",
        "rerun",
        "suspend_resume",
        "terminate",
        "timer",
    }
