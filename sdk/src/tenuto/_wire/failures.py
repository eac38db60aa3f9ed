"""Failures on the wire to what users see."""

from __future__ import annotations

import msgspec

from tenuto._replay.events import Failure
from tenuto._replay.failures import to_details
from tenuto.errors import FailureDetails

_decoder = msgspec.msgpack.Decoder(Failure)


def decode_failure(data: bytes) -> FailureDetails | None:
    """Reads an encoded failure; empty bytes are none.

    Bytes of an encoding that this release does not know give details that say so, because the fact that something
    failed must not be lost.
    """
    if not data:
        return None
    try:
        return to_details(_decoder.decode(data))
    except (msgspec.MsgspecError, RecursionError) as error:
        return FailureDetails(
            f"the recorded failure cannot be read by this release: {error}", "tenuto.errors.Unreadable"
        )
