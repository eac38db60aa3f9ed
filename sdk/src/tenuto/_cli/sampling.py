"""Histories from a live engine: a few of each workflow, of what runs and of what ended lately."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tenuto._wire.history import WorkflowHistory, export_json
from tenuto.client import WorkflowClient, WorkflowState, WorkflowStatus
from tenuto.errors import InstanceNotFound

# What has a history that code may meet again, or has met lately.
_STATUSES: Final = (
    WorkflowStatus.RUNNING,
    WorkflowStatus.SUSPENDED,
    WorkflowStatus.STALLED,
    WorkflowStatus.COMPLETED,
    WorkflowStatus.FAILED,
)
# Instances looked at for each one taken: enough to meet rare workflows, bounded where there are millions.
_LOOKED_AT: Final = 20
_LEAST_LOOKED_AT: Final = 1_000


@dataclass(frozen=True, slots=True)
class SampleWish:
    """What to take.

    Args:
        count: how many histories at most.
        workflow: only of this workflow; empty: any.
        statuses: only in one of these; empty: running, suspended, stalled, completed, failed.
        version: only pinned to this version; None: any.
    """

    count: int
    workflow: str = ""
    statuses: tuple[WorkflowStatus, ...] = ()
    version: str | None = None


def sample_histories(client: WorkflowClient, wish: SampleWish) -> Iterator[WorkflowHistory]:
    """Give histories, the newest of each workflow and status first, in turns between them.

    Instances that are purged meanwhile, or have not begun, are passed over.
    """
    groups: dict[tuple[str, WorkflowStatus], list[WorkflowState]] = {}
    looked_at = max(_LEAST_LOOKED_AT, _LOOKED_AT * wish.count)
    listed = client.iter_workflows(name=wish.workflow, statuses=wish.statuses or _STATUSES, page_size=500)
    for state in islice(listed, looked_at):
        if wish.version is None or state.version == wish.version:
            groups.setdefault((state.name, state.runtime_status), []).append(state)
    in_turns = (state for row in zip_longest(*groups.values()) for state in row if state is not None)
    found = (history for state in in_turns if (history := _history(client, state.instance_id)) is not None)
    return islice(found, wish.count)


def _history(client: WorkflowClient, instance_id: str) -> WorkflowHistory | None:
    try:
        history = client.get_workflow_history(instance_id)
    except InstanceNotFound:
        return None
    return history if history.started is not None else None


def save(history: WorkflowHistory, folder: Path) -> Path:
    """Write a history into a folder, under a name made of its instance id.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # An id may hold slashes; and file systems end at 255 bytes.
    path = folder / f"{quote(history.instance_id, safe='')[:200]}.json"
    path.write_text(export_json(history), encoding="utf-8")
    return path
