"""The page about the command line: its reference is the real help, its session runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer.main

from engines import BIN, EngineProcess, short_folder
from tenuto._cli.exits import Exit
from tenuto._cli.main import app, main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SECONDS = 60  # until something is certainly wrong


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All commands below one, with their full names."""
    below: dict[str, Any] | None = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from commands(one, f"{path} {name}")


def placeholder(option: Any) -> str:
    """What stands for an option's value; empty for a flag."""
    if option.is_flag:
        return ""
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " " + "|".join(str(choice.value) for choice in kind)
    return " " + (option.metavar or "VALUE")


def described(option: Any) -> str:
    """One line of the reference's tables."""
    names = ", ".join(option.opts) + placeholder(option)
    if option.secondary_opts:
        names += "/" + ", ".join(option.secondary_opts)
    escaped = names.replace("|", "\\|")
    return f"| `{escaped}` | {option.help} |"


def reference() -> str:
    """The page's reference, from the real commands."""
    root: Any = typer.main.get_command(app)
    lines: list[str] = []
    for path, command in [("tenuto [OPTIONS] COMMAND", root), *commands(root, "tenuto")]:
        arguments = [one for one in command.params if not hasattr(one, "is_flag")]
        options = [one for one in command.params if hasattr(one, "is_flag") and one.name != "help"]
        heading = " ".join([path, *(one.metavar or one.name.upper() for one in arguments)])
        lines += [f"### `{heading}`", "", command.help.strip(), ""]
        if options:
            lines += ["| option | meaning |", "|---|---|", *map(described, options), ""]
    return "\n".join(lines)


def test_the_reference_is_the_real_help() -> None:
    """Every command and option stands on the page with its help, and nothing that is not there."""
    expected = reference()
    assert expected.count("### `tenuto ") == 20
    found = PAGE.partition("## Reference\n\n")[2]
    assert found.strip() == expected.strip(), f"put this under '## Reference' of docs/cli.md:\n\n{expected}"


def test_the_exit_codes_are_all_there() -> None:
    """The page's table names each code once."""
    shown = [int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)]
    assert shown == [code.value for code in Exit]


def session() -> list[tuple[str, int]]:
    """The commands of the page's session, each with the exit code that it says."""
    block = re.search(r"```sh\n(tenuto workflow start.*?)```", PAGE, re.DOTALL)
    assert block
    found: list[tuple[str, int]] = []
    for line in block[1].splitlines():
        command, _, remark = line.partition("#")
        code = re.search(r"exit (\d)", remark)
        found.append((command.strip(), int(code[1]) if code else 0))
    return found


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    """An engine with the page's app beside it."""
    source = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert source
    with short_folder() as folder, EngineProcess(folder) as process:
        (folder / "shop.py").write_text(source[1], encoding="utf-8")
        command = [str(BIN / "python"), "-m", "tenuto._cli.app_host", "shop:wfr"]
        served = subprocess.Popen(command, cwd=folder, env=process.environment)
        yield process
        served.terminate()
        assert served.wait(SECONDS) == 0


def test_the_session_runs_as_shown(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command of the session ends with the exit code that the page says, 0 where it says none."""
    monkeypatch.setenv("TENUTO_ENGINE", engine.address)
    for command, code in session():
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command)[1:])
        printed = "".join(capsys.readouterr())
        assert (ended.value.code or 0) == code, f"{command}\n{printed}"
        assert printed
