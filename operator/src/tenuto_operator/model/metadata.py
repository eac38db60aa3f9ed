"""What the operator reads of the metadata that every Kubernetes object carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool = False


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """`generation`: rises with each change of the spec. `deletion_timestamp`: set while the object is going."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    @property
    def controller_uid(self) -> str:
        """Uid of the object that owns this one; empty: nobody does."""
        return next((owner.uid for owner in self.owner_references if owner.controller), "")


class SecretKey(msgspec.Struct, frozen=True):
    """A value in a Secret or ConfigMap of the same namespace."""

    name: str
    key: str


class Reference(msgspec.Struct, frozen=True):
    """Another object of the same namespace."""

    name: str
