"""The shard of an instance: these vectors may never change, because stores were written with them."""

from __future__ import annotations

from collections import Counter

import pytest

from tenuto_engine.core.sharding import shard_of


@pytest.mark.parametrize(
    ("instance_id", "crc"),
    [
        ("", 0x00000000),
        ("a", 0xE8B7BE43),
        ("123456789", 0xCBF43926),
        ("The quick brown fox jumps over the lazy dog", 0x414FA339),
        ("é", 0x0E048D3E),
        ("漢字", 0x9961BBAF),
    ],
)
def test_shards_follow_crc_32_of_utf_8(instance_id: str, crc: int) -> None:
    """The published check values of CRC-32, and text beyond ASCII as UTF-8."""
    for shards in (1, 2, 7, 64, 512):
        assert shard_of(instance_id, shards) == crc % shards


def test_similar_ids_spread() -> None:
    """Numbered ids fill all shards about equally: none has twice its share."""
    counts = Counter(shard_of(f"order-{number:06d}", 64) for number in range(64_000))
    assert len(counts) == 64
    assert max(counts.values()) < 2_000
