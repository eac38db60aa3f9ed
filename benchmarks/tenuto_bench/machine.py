"""Under which circumstances something was measured: machine, versions, commit, load, speed of fsync."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tenuto_bench.meters import machine_memory_gb, percentile
from tenuto_bench.servers import BENCHMARKS, POSTGRES, REDIS

ROOT = BENCHMARKS.parent
PACKAGES = ("tenuto", "tenuto-engine", "grpcio", "msgspec", "protobuf", "redis", "uvloop")
FSYNC_COUNT = 300


def describe(folder: Path) -> dict[str, Any]:
    """Facts that stay the same for a run. `folder`: on the disk that the stores will use."""
    return {
        "commit": _output("git", "-C", str(ROOT), "rev-parse", "HEAD") or "unknown",
        "has_uncommitted_changes": bool(_output("git", "-C", str(ROOT), "status", "--porcelain", "-uno")),
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gb": machine_memory_gb(),
            "kernel": f"{platform.system()} {platform.release()}",
            "fsync_ms": fsync_ms(folder),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
            "redis-server": _output(str(REDIS), "--version").split("v=")[-1].split(" ", maxsplit=1)[0],
            "postgres": _output(str(POSTGRES / "postgres"), "--version").rsplit(" ", maxsplit=1)[-1],
            "sqlite": sqlite3.sqlite_version,
        },
    }


def fsync_ms(folder: Path) -> dict[str, float]:
    """How long writing 4 KiB and forcing it to disk takes here; p50 and p99 in ms."""
    path = folder / "fsync"
    durations: list[float] = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for _ in range(FSYNC_COUNT):
            os.write(descriptor, b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            durations.append((time.perf_counter() - began) * 1e3)
    finally:
        os.close(descriptor)
        path.unlink()
    return {"p50": round(percentile(durations, 0.5), 3), "p99": round(percentile(durations, 0.99), 3)}


def load_average() -> list[float]:
    """Runnable processes over 1, 5 and 15 minutes; more than the cores at the start of a run spoils it."""
    return [round(value, 2) for value in os.getloadavg()]


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
