"""All tables of all rules in one dictionary, so that a call costs one look-up however many rules there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tenuto._lint.rule import Rule, Use

Entry = tuple[Rule, Use | None]


class Table:
    """Qualified names and patterns of several rules.

    A name is looked up as it is, then by the patterns above it from the longest to the shortest. For each rule the
    first entry met decides.
    """

    def __init__(self) -> None:
        self._exact: dict[str, tuple[Entry, ...]] = {}
        self._patterns: dict[str, tuple[Entry, ...]] = {}
        self._known: dict[str, tuple[tuple[Rule, Use], ...]] = {}

    def add(self, rule: Rule, names: Mapping[str, Use | None]) -> None:
        """Add a rule's names; None exempts."""
        for name, use in names.items():
            where = self._patterns if name.endswith(".*") else self._exact
            key = name.removesuffix(".*")
            where[key] = (*where.get(key, ()), (rule, use))

    def look_up(self, name: str) -> tuple[tuple[Rule, Use], ...]:
        """Return the rules that a qualified name is an entry of."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._search(name)
        return found

    def _search(self, name: str) -> tuple[tuple[Rule, Use], ...]:
        decided: dict[str, Entry] = {}
        self._decide(decided, self._exact.get(name, ()))
        key = name.rpartition(".")[0]
        while key:
            self._decide(decided, self._patterns.get(key, ()))
            key = key.rpartition(".")[0]
        return tuple((rule, use) for rule, use in decided.values() if use is not None)

    @staticmethod
    def _decide(decided: dict[str, Entry], entries: Iterable[Entry]) -> None:
        for rule, use in entries:
            decided.setdefault(rule.id, (rule, use))
