"""What processes and stores used: CPU seconds, memory, operations. Two readings, subtracted, are a measurement."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from typing import cast

import psutil
import redis

from tenuto_bench.servers import Pair

# `tenuto_state_write_total{...,op="commit",result="ok"} 12.0`
_SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)
_COUNTED = {"tenuto_state_write_total": "store_operations", "tenuto_state_group_operations_count": "commits"}
_SCRIPT_CALLS = ("evalsha", "eval")


class Meter:
    """Reads an engine, its app and its store.

    Args:
        pair: the processes.
        redis_port: where their Redis listens; 0: they use another store.
        redis_pid: its process.
    """

    def __init__(self, pair: Pair, *, redis_port: int = 0, redis_pid: int = 0) -> None:
        self._pair = pair
        self._redis_port = redis_port
        self._processes = {"engine": psutil.Process(pair.engine.pid), "app": psutil.Process(pair.app.pid)}
        if redis_pid:
            self._processes["redis"] = psutil.Process(redis_pid)

    def read(self) -> dict[str, float]:
        """Everything that only grows, by name: CPU seconds by process, operations by kind."""
        found: dict[str, float] = dict.fromkeys(_COUNTED.values(), 0.0)
        for name, process in self._processes.items():
            times = process.cpu_times()
            found[f"{name}_cpu_s"] = times.user + times.system
        with urllib.request.urlopen(self._pair.metrics_url, timeout=30) as answer:
            text = answer.read().decode()
        for name, value in _SAMPLE.findall(text):
            if name in _COUNTED:
                found[_COUNTED[name]] += float(value)
        if self._redis_port:
            found |= redis_calls(self._redis_port)
        return found

    def memory_mb(self) -> dict[str, float]:
        """Resident memory by process, in MB (10^6 bytes)."""
        return {f"{name}_rss_mb": process.memory_info().rss / 1e6 for name, process in self._processes.items()}


def redis_calls(port: int) -> dict[str, float]:
    """Commands that Redis has executed, those inside scripts included, and scripts."""
    with redis.Redis(port=port, decode_responses=True) as client:
        stats = cast("Mapping[str, Mapping[str, float]]", client.info("commandstats"))
    calls = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}
    return {
        "redis_commands": float(sum(calls.values())),
        "redis_scripts": float(sum(calls.get(name, 0) for name in _SCRIPT_CALLS)),
    }


def machine_memory_gb() -> float:
    """Memory of the machine, in GB (10^9 bytes)."""
    total: int = psutil.virtual_memory().total
    return round(total / 1e9, 1)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
