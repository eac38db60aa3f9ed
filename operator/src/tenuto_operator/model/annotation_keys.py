"""Annotations that the operator writes, or by which people tell it something."""

from __future__ import annotations

APPLIED = "tenuto.dev/applied"
"""Hash of the manifest that was applied last. Tells that a field was dropped, which a comparison cannot see."""

ENGINE_IMAGE = "tenuto.dev/engine-image"
"""Image of the engine in a pod, for people and for the count of engine releases."""

ENGINE_CONFIG = "tenuto.dev/engine-config"
"""Hash of the engine container in a pod: two pods with the same one have engines that were told the same."""

PROMOTE = "tenuto.dev/promote"
"""On a Workflow with strategy Manual: the version that shall take all new instances."""

ADOPT = "tenuto.dev/adopt"
"""On an existing object with a name that the operator needs: the Workflow that may take it over."""
