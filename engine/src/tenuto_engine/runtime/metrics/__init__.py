"""The engine's own metrics, as Prometheus reads them. Names are stable; labels have few, bounded values.

`catalog` makes families and the page, `families` names them and is what the runtime calls, `groups` counts what the
store executed, `reads` what was read from it. Nothing is ever labelled by instance, shard number or error text.
"""

from tenuto_engine.runtime.metrics.families import Metrics

__all__ = ["Metrics"]
