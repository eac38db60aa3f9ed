"""Python environments of their own, under `.cache/`: for programs whose packages must not meet ours.

Each is made from one hashed requirement file, once, and again when that file changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "bin" / "uv"


def python_of(requirements: str) -> Path:
    """The interpreter of the environment that holds what a requirement file names, made now if it is not there.

    Args:
        requirements: path of the file from the root of the tree, for example `requirements/interop/dapr119.txt`.

    Raises:
        subprocess.CalledProcessError: the packages could not be installed; the installer's message is above.
    """
    locked = ROOT / requirements
    folder = ROOT / ".cache" / "environments" / locked.stem
    python, stamp = folder / "bin" / "python", folder / "made-from"
    wanted = hashlib.sha256(f"{sys.version}\n{folder}\n{locked.read_text()}".encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    install: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", locked]
    if subprocess.run(install, check=False).returncode != 0:
        # uv does not read pip's configuration, where an index may be set up; the hashes are the same.
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--python",
            python,
            "install",
            "--quiet",
        ]
        subprocess.run([*pip, "--require-hashes", "-r", locked], check=True)
    stamp.write_text(wanted)
    return python
