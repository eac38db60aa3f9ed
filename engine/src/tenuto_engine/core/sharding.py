"""Which shard an instance belongs to: CRC-32 of its id, fixed for the life of a store.

CRC-32 because every language has it and it never changes; test vectors are in tests/unit/engine/test_sharding.py.
Source: architecture section 3.
"""

import zlib


def shard_of(instance_id: str, shards: int) -> int:
    """Return the shard of an instance, in [0, shards)."""
    return zlib.crc32(instance_id.encode()) % shards
