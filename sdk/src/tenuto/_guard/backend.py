"""How calls are seen on this interpreter: the one place that chooses."""

from __future__ import annotations

import sys

HAS_MONITORING = sys.version_info >= (3, 12)

if HAS_MONITORING:
    from tenuto._guard.monitoring import begin, cover, end, install
else:
    from tenuto._guard.profiling import begin, cover, end, install

__all__ = ["HAS_MONITORING", "begin", "cover", "end", "install"]
