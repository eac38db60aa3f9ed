"""How an engine is told of its store: environment and volumes of the engine container, from a StateStore.

Passwords never pass through the operator: the kubelet puts them from the Secret into the environment.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.metadata import SecretKey
from tenuto_operator.model.names import STORE_CA_VOLUME
from tenuto_operator.model.state_store import PostgresqlStore, RedisStore, StateStore, StateStoreSpec, Tls

_CA_FOLDER: Final = "/etc/tenuto/store"
_PASSWORD: Final = "TENUTO_STORE_PASSWORD"
_SCHEMES: Final = {"Standalone": "redis", "Sentinel": "redis+sentinel", "Cluster": "redis+cluster"}


class StoreAccess(msgspec.Struct, frozen=True):
    """Parts of a pod by which its engine reaches the store; to be copied into a pod, never changed."""

    env: tuple[Manifest, ...]
    mounts: tuple[Manifest, ...] = ()
    volumes: tuple[Manifest, ...] = ()


def store_access(store: StateStore) -> StoreAccess:
    """Return what an engine needs to open this store."""
    spec = store.spec
    env: list[Manifest] = []
    tls: Tls | None = None
    if spec.redis is not None:
        tls = spec.redis.tls
        env += _redis(spec.redis, wait_replicas=spec.durability.wait_replicas)
    elif spec.postgresql is not None:
        tls = spec.postgresql.tls
        env += _postgresql(spec.postgresql)
    elif spec.url_secret_ref is not None:
        env.append(from_secret("TENUTO_STATE_STORE", spec.url_secret_ref))
    env += _common(spec)
    ca = tls.ca_secret_ref if tls is not None else None
    if ca is None:
        return StoreAccess(tuple(env))
    volume = {
        "name": STORE_CA_VOLUME,
        "secret": {"secretName": ca.name, "items": [{"key": ca.key, "path": "ca.crt"}], "defaultMode": 0o444},
    }
    mount = {"name": STORE_CA_VOLUME, "mountPath": _CA_FOLDER, "readOnly": True}
    return StoreAccess(tuple(env), (mount,), (volume,))


def from_secret(name: str, source: SecretKey) -> Manifest:
    """Return an environment variable that the kubelet takes from a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": source.name, "key": source.key}}}


def _redis(redis: RedisStore, *, wait_replicas: int) -> list[Manifest]:
    scheme = _SCHEMES[redis.mode]
    if redis.tls is not None:
        scheme = scheme.replace("redis", "rediss", 1)
    path = f"/{redis.service}" if redis.mode == "Sentinel" else ""
    path += f"/{redis.database}" if redis.mode != "Cluster" else ""
    parameters: dict[str, Any] = {}
    if redis.tls is not None and redis.tls.ca_secret_ref is not None:
        parameters["ssl_ca_certs"] = f"{_CA_FOLDER}/ca.crt"
    if wait_replicas:
        parameters["wait_replicas"] = wait_replicas
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    login = ""
    env: list[Manifest] = []
    if redis.auth is not None:
        # Before the URL, since a variable is only put into those that follow it.
        env.append(from_secret(_PASSWORD, redis.auth.password_secret_ref))
        login = f"{quote(redis.auth.username, safe='')}:$({_PASSWORD})@"
    url = f"{scheme}://{login}{','.join(redis.addresses)}{path}{f'?{query}' if query else ''}"
    return [*env, {"name": "TENUTO_STATE_STORE", "value": url}]


def _postgresql(store: PostgresqlStore) -> list[Manifest]:
    """The password travels by libpq's own variable, so that it need not be escaped for a URL."""
    parameters: dict[str, str] = {}
    if store.tls is not None:
        parameters["sslmode"] = "verify-full"
        parameters["sslrootcert"] = f"{_CA_FOLDER}/ca.crt" if store.tls.ca_secret_ref is not None else "system"
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    login = f"{quote(store.auth.username, safe='')}@" if store.auth.username else ""
    url = f"postgresql://{login}{store.address}/{store.database}{f'?{query}' if query else ''}"
    return [from_secret("PGPASSWORD", store.auth.password_secret_ref), {"name": "TENUTO_STATE_STORE", "value": url}]


def _common(spec: StateStoreSpec) -> list[Manifest]:
    env: list[Manifest] = [{"name": "TENUTO_KEY_PREFIX", "value": spec.key_prefix}]
    if spec.lease_store_url_secret_ref is not None:
        env.append(from_secret("TENUTO_LEASE_STORE", spec.lease_store_url_secret_ref))
    if spec.durability.tier:
        env.append({"name": "TENUTO_DURABILITY", "value": spec.durability.tier})
    if spec.durability.verification == "Skipped":
        env.append({"name": "TENUTO_DURABILITY_UNVERIFIED", "value": "1"})
    return env
