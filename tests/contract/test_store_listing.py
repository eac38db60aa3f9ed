"""Listing instances of a shard: newest first, filtered, in pages."""

from __future__ import annotations

from typing import Any

import pytest

from contract.worlds import World
from tenuto_engine.core.status import Status
from tenuto_engine.ports.records import IndexEntry, InstanceFilter

MADE = [
    ("a-1", "ship", Status.RUNNING, 100),
    ("a-2", "bill", Status.RUNNING, 200),
    ("b-1", "ship", Status.COMPLETED, 200),
    ("b-2", "ship", Status.FAILED, 300),
    ("é-3", "bill", Status.COMPLETED, 200),
]


@pytest.fixture
async def listed(world: World) -> World:
    """Five instances in shard 0, and one in shard 1 that must not be seen."""
    for instance_id, name, status, created in MADE:
        await world.create(instance_id, status=status, index=IndexEntry(name, status, created))
    await world.create("other", shard=1, index=IndexEntry("ship", Status.RUNNING, 400))
    return world


async def _ids(world: World, **wanted: Any) -> list[str]:
    return [each.instance_id for each in await world.store.list_instances(0, InstanceFilter(**wanted))]


async def test_newest_first_then_by_id(listed: World) -> None:
    """Equal moments are ordered by id, falling, as bytes."""
    assert await _ids(listed) == ["b-2", "é-3", "b-1", "a-2", "a-1"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"name": "ship"}, ["b-2", "b-1", "a-1"]),
        ({"name": "sh"}, []),
        ({"statuses": frozenset({Status.COMPLETED})}, ["é-3", "b-1"]),
        ({"statuses": frozenset({Status.COMPLETED, Status.FAILED})}, ["b-2", "é-3", "b-1"]),
        ({"created_from_ms": 200}, ["b-2", "é-3", "b-1", "a-2"]),
        ({"created_to_ms": 200}, ["a-1"]),
        ({"created_from_ms": 200, "created_to_ms": 300}, ["é-3", "b-1", "a-2"]),
        ({"id_prefix": "b"}, ["b-2", "b-1"]),
        ({"id_prefix": "é"}, ["é-3"]),
        ({"id_prefix": "%"}, []),
        ({"name": "ship", "statuses": frozenset({Status.RUNNING}), "id_prefix": "a"}, ["a-1"]),
        ({"limit": 2}, ["b-2", "é-3"]),
        ({"name": "ship", "limit": 1, "before": (300, "b-2")}, ["b-1"]),
        ({"before": (200, "b-1")}, ["a-2", "a-1"]),
        ({"before": (200, "")}, ["a-1"]),
        ({"before": (100, "a-1")}, []),
    ],
)
async def test_filters(listed: World, wanted: dict[str, Any], found: list[str]) -> None:
    """Each filter alone and together; names are compared whole, prefixes as text, cursors exclude themselves."""
    assert await _ids(listed, **wanted) == found


async def test_what_is_listed_is_what_is_stored(listed: World) -> None:
    """An entry carries the moment of creation and the stored head and metadata."""
    await listed.commit("a-1", history=[b"h"])
    (entry,) = await listed.store.list_instances(0, InstanceFilter(id_prefix="a-1"))
    assert (entry.created_at_ms, entry.stored) == (100, await listed.stored("a-1"))


async def test_pages_cover_everything_once(world: World) -> None:
    """Going on from the last entry of each page, with instances made and ended meanwhile, misses and repeats none."""
    ids = [f"order-{number:03d}" for number in range(57)]
    for number, instance_id in enumerate(ids):
        await world.create(instance_id, index=IndexEntry("ship", Status.RUNNING, 1_000 + number // 5))
    seen: list[str] = []
    before: tuple[int, str] | None = None
    while True:
        page = await world.store.list_instances(0, InstanceFilter(before=before, limit=10))
        if not page:
            break
        seen += [each.instance_id for each in page]
        before = (page[-1].created_at_ms, page[-1].instance_id)
        await world.create(f"new-{len(seen)}", index=IndexEntry("ship", Status.RUNNING, 9_000))

    assert seen == sorted(ids, reverse=True)
