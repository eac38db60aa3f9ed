"""What a plan may ask for: a closed union. Each change is safe to carry out twice, and to lose."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.workflow import Gate
from tenuto_operator.plan.observed import Key


class Apply(msgspec.Struct, frozen=True):
    """Apply a manifest on the server's side. `may_adopt`: take over fields that others manage."""

    key: Key
    manifest: Manifest
    may_adopt: bool = False


class Scale(msgspec.Struct, frozen=True):
    """Set the number of pods, and nothing else: of a version whose template is no longer known."""

    key: Key
    replicas: int


class Delete(msgspec.Struct, frozen=True):
    """Delete an object, if it is still the one with this uid."""

    key: Key
    uid: str


class Route(msgspec.Struct, frozen=True):
    """Write the routing record, if it is still as it was seen. Times are the store's."""

    current: str
    target: str = ""
    ramp_percent: int = 0
    rejected: tuple[str, ...] = ()


class SetClosed(msgspec.Struct, frozen=True):
    """Have every shard refuse, or take, new roots on a version."""

    version: str
    is_closed: bool


class RunGate(msgspec.Struct, frozen=True):
    """Start the gate of a version, once: its runs have ids made from the version."""

    version: str
    gate: Gate


Change: TypeAlias = Apply | Scale | Delete | Route | SetClosed | RunGate
