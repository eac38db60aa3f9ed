"""Payloads: how values travel and are stored, and how to compress or encrypt them."""

from tenuto._payloads import PayloadCodec, from_payload, to_payload

__all__ = ["PayloadCodec", "from_payload", "to_payload"]
