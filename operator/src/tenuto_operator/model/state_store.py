"""The kind StateStore: where instances are kept. Which secrets it takes is known here, what they hold never."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from tenuto_operator.model.decoding import SpecRefused, decode
from tenuto_operator.model.metadata import Metadata, SecretKey
from tenuto_operator.model.status import Condition
from tenuto_operator.model.workflow import Part


class Auth(Part, frozen=True):
    """`username`: empty means the store's own default."""

    password_secret_ref: SecretKey
    username: str = ""


class Tls(Part, frozen=True):
    """`ca_secret_ref`: None means the authorities that the engine's image trusts."""

    ca_secret_ref: SecretKey | None = None


class RedisStore(Part, frozen=True):
    """`addresses`: HOST:PORT of the server, of the Sentinels, or of nodes. `service`: what Sentinel watches."""

    addresses: tuple[str, ...]
    mode: Literal["Standalone", "Sentinel", "Cluster"] = "Standalone"
    service: str = ""
    database: int = 0
    auth: Auth | None = None
    tls: Tls | None = None


class PostgresqlStore(Part, frozen=True):
    address: str
    database: str
    auth: Auth
    tls: Tls | None = None


class Durability(Part, frozen=True):
    """`tier`: empty means what the kind of store delivers by itself."""

    tier: Literal["", "D0", "D1", "D2", "D3"] = ""
    wait_replicas: int = 0
    verification: Literal["Required", "Skipped"] = "Required"


class StateStoreSpec(Part, frozen=True):
    """Exactly one of `redis`, `postgresql` and `url_secret_ref` is given."""

    redis: RedisStore | None = None
    postgresql: PostgresqlStore | None = None
    url_secret_ref: SecretKey | None = None
    lease_store_url_secret_ref: SecretKey | None = None
    key_prefix: str = "tenuto"
    durability: Durability = Durability()


class ServerStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    kind: str = ""
    version: str = ""
    description: str = ""


class StateStoreStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    durability: str = ""
    workflows: int = 0
    server: ServerStatus | None = None
    probed_at: datetime | None = None


class StateStore(msgspec.Struct, frozen=True):
    """One object of the kind, as last read."""

    metadata: Metadata
    spec: StateStoreSpec
    status: StateStoreStatus = StateStoreStatus()

    @property
    def ready(self) -> Condition | None:
        """What was last said of it; None: nothing yet."""
        return next((each for each in self.status.conditions if each.type == "Ready"), None)


def read_state_store(resource: Mapping[str, Any]) -> StateStore:
    """Read a StateStore.

    Raises:
        SpecRefused: a field is wrong; the message names it and says what to change.
    """
    store = decode(StateStore, resource)
    spec = store.spec
    given = [each for each in (spec.redis, spec.postgresql, spec.url_secret_ref) if each is not None]
    if len(given) != 1:
        raise SpecRefused("spec: give exactly one of redis, postgresql and urlSecretRef")
    redis = spec.redis
    if redis is None:
        if spec.postgresql is not None and spec.durability.wait_replicas:
            raise SpecRefused(
                "spec.durability.waitReplicas: PostgreSQL waits by its own synchronous_standby_names; leave it out"
            )
        return store
    if redis.mode == "Standalone" and len(redis.addresses) != 1:
        raise SpecRefused("spec.redis.addresses: Standalone has one address; for several give mode Sentinel or Cluster")
    if (redis.mode == "Sentinel") != bool(redis.service):
        raise SpecRefused("spec.redis.service: give what Sentinel watches for mode Sentinel, and for no other")
    return store
