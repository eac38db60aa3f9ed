"""`# tenuto: ignore[RULE] reason`: what it holds for, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lint.sources import brief, lint, write

HOLDS = {
    "at the end of the line": "def f(ctx):\n    x = time.time()  # tenuto: ignore[TEN102] measured\n",
    "on the line before": "def f(ctx):\n    # tenuto: ignore[TEN102] measured\n    x = time.time()\n",
    "for several rules": "def f(ctx):\n    x = time.time()  # tenuto: ignore[TEN101, TEN102] both\n",
    "for several lines": "def f(ctx):\n    x = [\n        time.time(),\n    ]  # tenuto: ignore[TEN102] x\n",
    "on the def": "def f(ctx):  # tenuto: ignore[TEN102] whole\n    x = time.time()\n    y = time.time()\n",
    "before the def": "# tenuto: ignore[TEN102] whole\ndef f(ctx):\n    x = time.time()\n",
    "before its decorators": "# tenuto: ignore[TEN102] whole\n@deco\n@deco\ndef f(ctx):\n    x = time.time()\n",
    "on a decorator": "@deco  # tenuto: ignore[TEN102] whole\ndef f(ctx):\n    x = time.time()\n",
    "with other comments between": "def f(ctx):\n    # tenuto: ignore[TEN102] a\n    # more\n\n    x = time.time()\n",
    "without a reason": "def f(ctx):\n    x = time.time()  # tenuto: ignore[TEN102]\n",
}
HOLDS_NOT = {
    "for another rule": "def f(ctx):\n    x = time.time()  # tenuto: ignore[TEN101] x\n",
    "without rules": "def f(ctx):\n    x = time.time()  # tenuto: ignore\n",
    "on the line after": "def f(ctx):\n    x = time.time()\n    # tenuto: ignore[TEN102] x\n",
    "two lines before": "def f(ctx):\n    # tenuto: ignore[TEN102] x\n    y = 1\n    x = time.time()\n",
    "in a text": "def f(ctx):\n    x = time.time(), '# tenuto: ignore[TEN102] x'\n",
    "on an if": "def f(ctx):\n    if ctx:  # tenuto: ignore[TEN102] x\n        x = time.time()\n",
    "at another function": "def g(ctx):  # tenuto: ignore[TEN102] x\n    pass\ndef f(ctx):\n    x = time.time()\n",
}


def found(folder: Path, code: str) -> list[str]:
    write(folder, {"flow.py": f"import time\n{code}    yield ctx.create_timer(1)\n"})
    return [one.partition(" ")[2] for one in brief(lint(folder).findings)]


@pytest.mark.parametrize("where", HOLDS)
def test_a_suppression_holds(where: str, tmp_path: Path) -> None:
    """It silences the rules that it names, at its statement or in its function."""
    assert found(tmp_path, HOLDS[where]) == []


@pytest.mark.parametrize("where", HOLDS_NOT)
def test_a_suppression_does_not_hold(where: str, tmp_path: Path) -> None:
    """It silences nothing else."""
    assert found(tmp_path, HOLDS_NOT[where]) == ["TEN102"]


def test_a_suppression_in_a_helper_holds_for_every_workflow(tmp_path: Path) -> None:
    """It stands where the finding is, not where the chain begins."""
    write(
        tmp_path,
        {
            "flow.py": "from helper import help\n\ndef f(ctx):\n    yield ctx.create_timer(help())\n",
            "helper.py": "import time\n\ndef help():\n    return time.time()  # tenuto: ignore[TEN102] of no matter\n",
        },
    )
    assert lint(tmp_path).findings == []
