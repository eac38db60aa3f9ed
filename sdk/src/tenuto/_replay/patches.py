"""Patches: which branches of changed code an execution takes, as history records it."""

from __future__ import annotations

from collections.abc import Iterable

_VARIANT_PREFIX = "tenuto.variant="


class Patches:
    """The patch ids of one execution: recorded ones, those taken in this turn, and those passed without.

    The variant of a versioned workflow, chosen when the execution begins, is recorded in the same way.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._passed: set[str] = set()
        self._fresh: list[str] = []

    def record(self, ids: Iterable[str]) -> None:
        """Notes what history says was taken."""
        self._taken.update(ids)

    def is_taken(self, name: str, *, is_replaying: bool) -> bool:
        """Answers for one patch, always the same in one execution."""
        if name in self._taken:
            return True
        if is_replaying or name in self._passed:
            self._passed.add(name)
            return False
        self.take(name)
        return True

    def take(self, name: str) -> None:
        """Takes a patch in this turn."""
        if not name:
            raise ValueError("the patch's name is empty")
        self._taken.add(name)
        self._fresh.append(name)

    def take_variant(self, variant: str) -> None:
        """Records which variant of a versioned workflow this execution runs."""
        self.take(_VARIANT_PREFIX + variant)

    @property
    def variant(self) -> str | None:
        """The recorded variant, if any."""
        found = (name.removeprefix(_VARIANT_PREFIX) for name in self._taken if name.startswith(_VARIANT_PREFIX))
        return next(found, None)

    def drain(self) -> list[str]:
        """The ids first taken since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh
