"""The cache: nothing is parsed twice, what has not changed is not parsed, and no damage changes a result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lint.sources import brief, lint, write
from tenuto._lint.cache import FOLDER
from tenuto._lint.config import Config
from tenuto._lint.rule import Profile

FILES = {
    "flows.py": """
        import prices

        def order(ctx, item):
            yield ctx.call_activity("ship", input=prices.of(item))
        """,
    "prices.py": """
        import stamps

        def of(item):
            return stamps.stamp(item)
        """,
    "stamps.py": """
        import time

        def stamp(item):
            return time.time()
        """,
    "other.py": """
        import uuid

        async def other(ctx):
            await ctx.call_activity(str(uuid.uuid4()))
        """,
    "unrelated.py": "x = 1\n",
}
FOUND = ["other.py:4 TEN124", "stamps.py:4 TEN102"]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_no_file_is_parsed_twice(tmp_path: Path) -> None:
    """One run parses each file that matters once, and files without a sign of a workflow not at all."""
    write(tmp_path, FILES)
    report = lint(tmp_path)
    assert brief(report.findings) == FOUND
    assert sorted(names(report.parsed)) == ["flows.py", "other.py", "prices.py", "stamps.py"]
    assert report.files == 5


def test_a_second_run_parses_nothing(tmp_path: Path) -> None:
    """With a cache a run over unchanged files parses none of them, and finds the same."""
    write(tmp_path, FILES)
    first = lint(tmp_path, use_cache=True)
    second = lint(tmp_path, use_cache=True)
    assert second.parsed == []
    assert second.findings == first.findings


def test_only_what_a_change_concerns_is_parsed(tmp_path: Path) -> None:
    """A changed file is parsed again, and those whose findings depended on it; no other one."""
    write(tmp_path, FILES)
    lint(tmp_path, use_cache=True)
    write(tmp_path, {"stamps.py": "def stamp(item):\n    return item\n"})
    report = lint(tmp_path, use_cache=True)
    assert brief(report.findings) == ["other.py:4 TEN124"]
    assert "stamps.py" in names(report.parsed)
    assert "other.py" not in names(report.parsed)
    assert len(names(report.parsed)) == len(set(names(report.parsed)))


def test_a_helper_that_becomes_a_violation_is_found(tmp_path: Path) -> None:
    """What was found of an unchanged module is not taken for true when a module that it imports has changed."""
    files = {
        "flow.py": "from clock import now\n\ndef order(ctx):\n    yield ctx.call_activity(now())\n",
        "clock.py": "def now():\n    return 1\n",
    }
    write(tmp_path, files)
    assert brief(lint(tmp_path, use_cache=True).findings) == []
    write(tmp_path, {"clock.py": "from time import time as now\n"})
    assert brief(lint(tmp_path, use_cache=True).findings) == ["flow.py:4 TEN102"]


def test_a_module_that_appears_is_seen(tmp_path: Path) -> None:
    """An import that led nowhere leads somewhere once the file is there."""
    write(tmp_path, {"flow.py": "from clock import now\n\ndef order(ctx):\n    yield ctx.call_activity(now())\n"})
    assert brief(lint(tmp_path, use_cache=True).findings) == []
    write(tmp_path, {"clock.py": "import time\n\ndef now():\n    return time.time()\n"})
    assert brief(lint(tmp_path, use_cache=True).findings) == ["clock.py:4 TEN102"]


def test_a_function_that_becomes_an_activity_is_left_alone(tmp_path: Path) -> None:
    """Roles are asked anew in each run: a registration elsewhere makes an activity of a helper."""
    files = {
        "flow.py": "from work import work\n\ndef order(ctx):\n    yield ctx.create_timer(work(ctx))\n",
        "work.py": "import time\n\ndef work(ctx):\n    return time.time()\n",
    }
    write(tmp_path, files)
    assert brief(lint(tmp_path, use_cache=True).findings) == ["work.py:4 TEN102"]
    write(tmp_path, {"app.py": "from work import work\nruntime.register_activity(work)\n"})
    assert brief(lint(tmp_path, use_cache=True).findings) == ["flow.py:4 TEN223"]


def test_a_callee_that_becomes_an_activity_is_seen(tmp_path: Path) -> None:
    """What was found of a caller is not taken for true when what it calls has got another role."""
    files = {
        "flow.py": "from work import work as do\n\ndef order(ctx):\n    yield ctx.create_timer(do(ctx))\n",
        "work.py": "def work(ctx):\n    return 1\n",
        "app.py": "runtime.register_activity(work)\n",
    }
    write(tmp_path, files)
    assert brief(lint(tmp_path, use_cache=True).findings) == []
    write(tmp_path, {"app.py": "from work import work\nruntime.register_activity(work)\n"})
    assert brief(lint(tmp_path, use_cache=True).findings) == ["flow.py:4 TEN223"]


def test_other_rules_find_other_things(tmp_path: Path) -> None:
    """A profile sees only its own rules' findings, whatever ran before."""
    write(tmp_path, {"flow.py": "def order(ctx):\n    print(1)\n    yield ctx.create_timer(1)\n"})
    strict = Config(root=tmp_path, profile=Profile.STRICT)
    for _ in range(2):
        assert brief(lint(tmp_path, use_cache=True).findings) == []
        assert "flow.py:2 TEN152" in brief(lint(tmp_path, strict, use_cache=True).findings)


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\x95\xa1x"], ids=["empty", "no msgpack", "cut short"])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, damage: bytes) -> None:
    """Entries that were cut short or overwritten are ignored, and written anew."""
    write(tmp_path, FILES)
    lint(tmp_path, use_cache=True)
    for entry in (tmp_path / FOLDER / "lint").iterdir():
        entry.write_bytes(damage)
    report = lint(tmp_path, use_cache=True)
    assert brief(report.findings) == FOUND
    assert len(report.parsed) == 4
    assert lint(tmp_path, use_cache=True).parsed == []


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """A file where the folder should be costs the cache, not the run."""
    write(tmp_path, {**FILES, FOLDER: "in the way"})
    assert brief(lint(tmp_path, use_cache=True).findings) == FOUND


def test_the_cache_ignores_itself(tmp_path: Path) -> None:
    """Version control sees nothing of it."""
    write(tmp_path, FILES)
    lint(tmp_path, use_cache=True)
    assert (tmp_path / FOLDER / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_runs_at_the_same_time_find_the_same(tmp_path: Path) -> None:
    """Several processes that fill one cache at once leave it whole, and each finds everything."""
    write(tmp_path, FILES)
    command = [sys.executable, "-m", "tenuto._cli.start", "lint", "."]
    runs = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [run.communicate()[0] for run in runs]
    assert all(output == outputs[0] for output in outputs)
    assert "2 errors" in outputs[0]
    assert lint(tmp_path, use_cache=True).parsed == []
