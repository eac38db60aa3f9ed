"""The operator's process, as kopf loads it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import cast

import kopf

from tenuto_operator import main


def test_liveness_probe_is_registered() -> None:
    """Loading the module registers one liveness probe, and it answers with the operator's version."""
    registered = list(kopf.get_default_registry()._activities.get_all_handlers())
    (probe,) = [handler.fn for handler in registered if handler.fn is main.report_version]
    assert cast("Callable[[], object]", probe)() == version("tenuto-operator")
