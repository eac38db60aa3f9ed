"""Resolve what is asked for (requirements/*.in and the members) into pinned, hashed requirement files.

One resolution holds for every platform and Python >= 3.11. No index or path of the machine that ran it is recorded.
Pins stay where they are unless the inputs demand otherwise or `--upgrade` is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEMBERS = ("proto", "sdk", "engine", "operator")
DISTRIBUTIONS = ("tenuto", "tenuto-engine", "tenuto-operator", "tenuto-proto")


def compile_requirements(output: str, *inputs: str, extra: list[str]) -> None:
    """Resolve `inputs` into the file `output`."""
    command = [".venv/bin/uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", "make lock"]
    for name in DISTRIBUTIONS:
        command += ["--no-emit-package", name]
    subprocess.run([*command, *extra, *inputs, "-o", output], cwd=ROOT, check=True)


def main() -> None:
    """Write every requirement file."""
    extra = sys.argv[1:]
    for name in ("bootstrap", "lint-peers"):
        compile_requirements(f"requirements/{name}.txt", f"requirements/{name}.in", extra=extra)
    # Sources to read, which nobody installs: what they would need is of no concern.
    compile_requirements("requirements/lint-public.txt", "requirements/lint-public.in", extra=["--no-deps", *extra])
    members = [f"{member}/pyproject.toml" for member in MEMBERS]
    compile_requirements("requirements/dev.txt", "requirements/dev.in", *members, extra=extra)
    for asked in sorted((ROOT / "requirements" / "interop").glob("*.in")):
        place = asked.relative_to(ROOT).with_suffix("")
        compile_requirements(f"{place}.txt", f"{place}.in", extra=extra)


if __name__ == "__main__":
    main()
