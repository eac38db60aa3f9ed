"""Names and versions: how they are made, and within which bounds.

A name is made from what it names and nothing else, so that two operators, or one that was restarted, make the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

ENGINE_CONTAINER: Final = "tenuto-engine"
SOCKET_VOLUME: Final = "tenuto-socket"
TMP_VOLUME: Final = "tenuto-tmp"
STORE_CA_VOLUME: Final = "tenuto-store-ca"

GROUP: Final = "tenuto.dev"
API_VERSION: Final = f"{GROUP}/v1alpha1"

MAX_VERSION: Final = 40
# A Deployment's pods are named `<deployment>-<10 characters>-<5 characters>` and have it as their host name, which
# ends at 63.
MAX_DEPLOYMENT: Final = 47
_HASH: Final = 6
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def derive_version(template: Mapping[str, Any]) -> str:
    """Return the version of a pod template: the first image's tag, and a hash of all images, commands and arguments.

    Environment, resources and labels do not count: changing them rolls pods, and makes no new version.

    Args:
        template: as in a Deployment, with at least one container.
    """
    spec = template["spec"]
    code = [
        [container.get(field) for field in ("name", "image", "command", "args")]
        for kind in ("initContainers", "containers")
        for container in spec.get(kind) or ()
    ]
    tag = image_tag(spec["containers"][0]["image"]).lower()
    # `orders-v1-4-2` reads as a version, `orders-1-4-2` does not.
    readable = _NOT_IN_NAMES.sub("-", f"v{tag}" if tag[:1].isdigit() else tag).strip("-")
    cut = readable[: MAX_VERSION - _HASH - 1].rstrip("-")
    return f"{cut}-{short_hash(code)}" if cut else f"v-{short_hash(code)}"


def image_tag(image: str) -> str:
    """Return the tag of an image, the start of its digest where it has none, or nothing."""
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    return tag or digest.rpartition(":")[2][:12]


def deployment_name(workflow: str, version: str) -> str:
    """Return the name of all objects of a version; at most 47 characters, unique by a hash where it had to be cut."""
    whole = f"{workflow}-{version}"
    if len(whole) <= MAX_DEPLOYMENT:
        return whole
    return f"{whole[: MAX_DEPLOYMENT - _HASH - 1].rstrip('-')}-{short_hash(whole)}"


def short_hash(value: object) -> str:
    """Return six hexadecimal digits of a JSON value: enough to tell apart the few that live at one time."""
    return content_hash(value)[:_HASH]


def content_hash(value: object) -> str:
    """Return sixteen hexadecimal digits that differ where the JSON value differs; the order of keys does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
