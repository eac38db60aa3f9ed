"""The two families of SDKs that speak `TaskHubSidecarService`, and where their messages differ.

One listener speaks one dialect: fifteen positions have two meanings, and nothing on the wire says which is meant. Some
workers give themselves away all the same (`recognition`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenuto_proto.durabletask import dapr_pb2, microsoft_pb2

SERVICE = "TaskHubSidecarService"


class Dialect(msgspec.Struct, frozen=True):
    """One family.

    Attributes:
        name: for logs and settings.
        mark: first byte of the `foreign` bytes that this dialect wrote.
        pb: its messages. Those that both families have carry the same names there, so one translator reads both.
        shows_stalled: its clients know the status STALLED.
    """

    name: str
    mark: bytes
    pb: Any
    shows_stalled: bool


DAPR = Dialect("dapr", b"d", dapr_pb2, shows_stalled=True)
MICROSOFT = Dialect("microsoft", b"m", microsoft_pb2, shows_stalled=False)
