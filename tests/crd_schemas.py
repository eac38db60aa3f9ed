"""The schemas of the custom resource definitions, as an API server would apply them, without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import yaml

from architecture.tree import ROOT

FOLDER = ROOT / "manifests/crds"
DEFINITIONS = {
    found["spec"]["names"]["kind"]: found
    for path in sorted(FOLDER.glob("tenuto.dev_*.yaml"))
    if (found := yaml.safe_load(path.read_text(encoding="utf-8")))
}


def version_of(kind: str) -> dict[str, Any]:
    """The one version of a kind."""
    (version,) = DEFINITIONS[kind]["spec"]["versions"]
    return dict(version)


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind."""
    return dict(version_of(kind)["schema"]["openAPIV3Schema"])


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with the path of its field."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], f"{path}[]")


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as `kubectl apply` judges: fields that nobody declared are refused."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if "properties" in schema:
        made["properties"] = {name: strict(inner) for name, inner in schema["properties"].items()}
        if "x-kubernetes-preserve-unknown-fields" not in schema:
            made["additionalProperties"] = False
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            made[keyword] = strict(schema[keyword])
    return made


def check(document: dict[str, Any]) -> None:
    """Raise ValidationError where the API server would refuse an object for its schema."""
    schema = strict(schema_of(document["kind"]))
    schema["properties"]["metadata"].pop("additionalProperties", None)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def check_status(kind: str, status: Any) -> None:
    """Raise ValidationError where the API server would refuse, or silently cut, a status."""
    schema = strict(schema_of(kind)["properties"]["status"])
    jsonschema.validate(status, schema, cls=jsonschema.Draft202012Validator)
