"""Under which circumstances a linter was judged."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def describe(**versions: str) -> dict[str, Any]:
    """Moment, commit, machine and versions."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "has_uncommitted_changes": bool(_git("status", "--porcelain", "-uno")),
        "machine": {
            "cpu": _processor(),
            "cores": os.cpu_count(),
            "kernel": f"{platform.system()} {platform.release()}",
        },
        "versions": {"python": platform.python_version(), "tenuto": version("tenuto"), **versions},
    }


def sentence(report: dict[str, Any]) -> str:
    """The same in words, for a page."""
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    machine = report["machine"]
    changed = " with uncommitted changes" if report["has_uncommitted_changes"] else ""
    return (
        f"Measured {report['measured_at']} at commit `{report['commit'][:12]}`{changed}; {versions}; "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}."
    )


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
