"""How clients reach an engine: address, token, channel options."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc.aio

from tenuto._transport.target import resolve_target

# A page of history is at most 1 MiB, but one input, output and custom status may come together, and lists carry many.
_MAX_MESSAGE_BYTES: Final = 64 << 20

_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    # The client repeats requests itself: it knows which repeats are safe, and the core would wait up to 2 minutes
    # between two attempts to connect, longer than an engine takes to start again.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where the engine is and how to introduce oneself.

    Args:
        target: gRPC target, `HOST:PORT` or `unix:PATH`.
        token: sent with each request; empty: none.
        token_file: read for each `metadata()` where no token is given; None: none.
        options: of the channel.
        open_channel: makes the channel to a target; an engine in the same process needs no connection.
    """

    target: str
    token: str
    token_file: Path | None
    options: tuple[tuple[str, int | str], ...] = _OPTIONS
    open_channel: Callable[..., Any] = grpc.aio.insecure_channel

    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        """Return the metadata of a request, with the token as it is now.

        Raises:
            OSError: the token file cannot be read.
        """
        token = self.token
        if not token and self.token_file is not None:
            token = self.token_file.read_text().strip()
        return (("authorization", f"Bearer {token}"),) if token else None


def read_settings(
    *,
    host: str | None = None,
    port: str | int | None = None,
    engine: str | None = None,
    token: str | None = None,
    token_file: str | None = None,
) -> ClientSettings:
    """Settle address and token from arguments, then from TENUTO_ENGINE, TENUTO_TOKEN, TENUTO_TOKEN_FILE.

    Raises:
        ValueError: the address is not valid.
    """
    if token is None and token_file is None:
        token = os.environ.get("TENUTO_TOKEN", "")
        token_file = os.environ.get("TENUTO_TOKEN_FILE") or None
    return ClientSettings(
        target=resolve_target(host=host, port=port, engine=engine),
        token=token or "",
        token_file=Path(token_file) if token_file else None,
    )
