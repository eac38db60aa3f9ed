"""Values to bytes and back: JSON by default, shaped by the annotation of whoever receives the value.

Pure: no I/O, no clock. What a payload means is known here and nowhere else; the engine never looks inside one.
"""

from tenuto._payloads.codec import PayloadCodec, Payloads
from tenuto._payloads.decoding import from_payload
from tenuto._payloads.encoding import to_payload
from tenuto._payloads.signatures import Signature, inspect_function

__all__ = ["PayloadCodec", "Payloads", "Signature", "from_payload", "inspect_function", "to_payload"]
