"""Which engine to talk to."""

from __future__ import annotations

import os
from typing import Final

DEFAULT_ENGINE: Final = "127.0.0.1:50001"
ENGINE_VARIABLE: Final = "TENUTO_ENGINE"


def resolve_target(*, host: str | None = None, port: str | int | None = None, engine: str | None = None) -> str:
    """Settles the engine's address as a gRPC target.

    Args:
        host: name or address; with `port` it wins over the environment. None: 127.0.0.1 where a port is given.
        port: 1 to 65,535. None: 50001 where a host is given.
        engine: `HOST:PORT` or `unix:PATH`; instead of host and port. None: the variable TENUTO_ENGINE, else
            127.0.0.1:50001.

    Raises:
        ValueError: the address is not of that form, or both ways of giving it were used.
    """
    if engine is not None and (host is not None or port is not None):
        raise ValueError(f"give either engine={engine!r} or host and port, not both")
    if host is not None or port is not None:
        default_host, _, default_port = DEFAULT_ENGINE.rpartition(":")
        engine = f"{host or default_host}:{port if port is not None else default_port}"
    address = engine or os.environ.get(ENGINE_VARIABLE) or DEFAULT_ENGINE
    if address.startswith("unix:"):
        if not address.removeprefix("unix:").strip("/"):
            raise ValueError(f"the engine address {address!r} names no socket; write unix:PATH")
        return address
    name, _, number = address.rpartition(":")
    if not name or "/" in name or not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        raise ValueError(f"the engine address {address!r} is not valid; write HOST:PORT or unix:PATH")
    return address
