"""The second stage: what compression or encryption makes of the JSON, on the side that owns the keys."""

from __future__ import annotations

from typing import Any, Protocol

from tenuto._payloads.decoding import from_payload
from tenuto._payloads.encoding import to_payload
from tenuto.errors import PayloadError


class PayloadCodec(Protocol):
    """Transforms payloads on their way out and back: compression, encryption.

    Give the same codec to every `WorkflowRuntime` and client of an application: the engine and the store see only what
    `encode` returns. Both methods are called from several threads.
    """

    def encode(self, data: bytes) -> bytes:
        """Returns what is sent and stored in place of `data`. It need not be the same bytes each time."""
        ...

    def decode(self, data: bytes) -> bytes:
        """Returns what `encode` was given. It must also accept what older versions of `encode` returned."""
        ...


class Payloads:
    """Values to stored bytes and back, through an optional codec.

    Args:
        codec: applied after encoding and before decoding; None leaves the JSON as it is.
    """

    __slots__ = ("_codec",)

    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec

    @property
    def codec(self) -> PayloadCodec | None:
        """The codec, None where payloads are plain JSON."""
        return self._codec

    def dump(self, value: Any, *, what: str = "value") -> bytes | None:
        """Encodes a value; None stays None. Raises `PayloadError`."""
        return self.seal(to_payload(value, what=what))

    def load(self, data: bytes | None, annotation: Any = Any, *, what: str = "payload") -> Any:
        """Decodes a value of `annotation`; None stays None. Raises `PayloadError`."""
        return from_payload(None if data is None else self._open(data, what), annotation, what=what)

    def is_same(self, one: bytes, other: bytes) -> bool:
        """Whether two payloads hold the same JSON, even where a codec seals it differently each time.

        Raises:
            PayloadError: the codec cannot decode one of them.
        """
        return one == other or (self._codec is not None and self._open(one, "payload") == self._open(other, "payload"))

    def _open(self, data: bytes, what: str) -> bytes:
        if self._codec is None:
            return data
        try:
            return self._codec.decode(data)
        except Exception as error:  # A codec is user code, and may raise anything for bytes it does not know.
            raise PayloadError(f"the payload codec could not decode the {what}: {error!r}") from error

    def seal(self, data: bytes | None) -> bytes | None:
        """Applies the codec alone, to bytes that are already JSON. Raises `PayloadError`."""
        if self._codec is None or data is None:
            return data
        try:
            return self._codec.encode(data)
        except Exception as error:  # As in _open.
            raise PayloadError(f"the payload codec could not encode {len(data):,} bytes: {error!r}") from error
