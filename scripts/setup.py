"""Make `.venv` with pinned, hashed dependencies and the members in editable form.

Runs on the bare interpreter, before anything is installed: standard library only. It does nothing when neither the
requirement files nor the members' metadata nor the interpreter changed since the last time.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".tenuto-setup"
BOOTSTRAP = ROOT / "requirements" / "bootstrap.txt"
LOCKED = ROOT / "requirements" / "dev.txt"
MEMBERS = ("proto", "sdk", "engine", "operator")


def fingerprint() -> str:
    """Everything the installed environment depends on, in one hash."""
    inputs = [BOOTSTRAP, LOCKED, Path(__file__), *(ROOT / member / "pyproject.toml" for member in MEMBERS)]
    digest = hashlib.sha256(str(VENV).encode())
    for path in inputs:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the environment is there and was made from what the files say now."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == fingerprint()


def run(*command: str | Path) -> bool:
    """Run a command with its output shown; answer whether it succeeded."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode == 0


def is_usable() -> bool:
    """Whether `.venv` runs a new enough Python and stands where it was made: its scripts hold its path."""
    pip = VENV / "bin" / "pip"
    return (
        pip.exists()
        and str(PYTHON) in pip.read_text()
        and run(PYTHON, "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))")
    )


def make_environment() -> None:
    """Create `.venv` where there is none that works from this place."""
    if not is_usable() and not run(sys.executable, "-m", "venv", "--clear", VENV):
        sys.exit("setup: python could not make .venv; on Debian or Ubuntu install python3-venv, then repeat.")


def install() -> None:
    """Install the locked dependencies, then the members, with uv; with pip where uv cannot reach a package index.

    uv does not read pip's configuration, so a machine whose index is set up for pip only needs the second way. The
    hashes are the same in both.
    """
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    uv = (VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON)
    if not run(*pip, "--require-hashes", "-r", BOOTSTRAP):
        sys.exit("setup: pip could not install requirements/bootstrap.txt; its message is above.")
    if not run(*uv, "--require-hashes", "-r", LOCKED):
        print("setup: uv failed; trying pip with the same hashes, which takes longer.", flush=True)
        if not run(*pip, "--require-hashes", "-r", LOCKED):
            sys.exit("setup: neither uv nor pip could install requirements/dev.txt; their messages are above.")
    editable = [argument for member in MEMBERS for argument in ("-e", ROOT / member)]
    # Offline: everything the members need is installed, and a resolver may not add to it.
    if not run(*uv, "--offline", "--no-deps", "--no-build-isolation", *editable):
        sys.exit("setup: the members could not be installed; the message is above.")


def main() -> None:
    """Bring `.venv` up to date, or say in one sentence why that failed."""
    if is_current():
        return
    print("setup: installing pinned dependencies into .venv (once, and when requirements change)", flush=True)
    make_environment()
    STAMP.unlink(missing_ok=True)  # an interrupted installation must not look finished
    install()
    STAMP.write_text(fingerprint())


if __name__ == "__main__":
    main()
