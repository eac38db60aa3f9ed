"""A report as text for people or JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tenuto_engine.verify.findings import RULES, Finding
from tenuto_engine.verify.run import Report

# More would scroll the first ones away, and a broken store repeats itself.
_SHOWN = 50


def as_json(report: Report) -> dict[str, Any]:
    """The report as one JSON value; its form is in docs/verify.md."""
    return {
        "ok": not report.findings,
        "store": report.store.description,
        "layout": report.store.layout_version,
        "counts": msgspec.to_builtins(report.counts),
        "passes": report.passes,
        "unsettled": report.unsettled,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    rule = RULES[finding.rule]
    return {
        "invariant": rule.invariant,
        "rule": finding.rule,
        "shard": finding.shard if finding.shard >= 0 else None,
        "subject": finding.subject,
        "record": finding.record,
        "claim": rule.claim,
        "expected": finding.expected,
        "found": finding.found,
        "advice": rule.advice,
    }


def as_text(report: Report) -> Iterator[str]:
    """The report in lines."""
    counts = report.counts
    yield f"{report.store.description}, layout {report.store.layout_version}"
    yield (
        f"read {_so_many(counts.shards, 'shard')}: {_so_many(counts.instances, 'instance')} ({counts.ended:,} ended),"
        f" {_so_many(counts.events, 'event')}, {_so_many(counts.unread, 'unread message')},"
        f" {_so_many(counts.activities, 'open activity', 'open activities')}, {_so_many(counts.reminders, 'reminder')},"
        f" {_so_many(counts.outbox, 'message')} between shards"
    )
    for finding in report.findings[:_SHOWN]:
        rule = RULES[finding.rule]
        where = f"shard {finding.shard}, " if finding.shard >= 0 and not finding.subject.startswith("shard") else ""
        yield ""
        yield f"{rule.invariant} {finding.rule}: {rule.claim}"
        yield f"  {where}{finding.subject}, {finding.record}"
        yield f"  expected: {finding.expected}"
        yield f"  found:    {finding.found}"
        yield f"  do:       {rule.advice}"
    if len(report.findings) > _SHOWN:
        yield f"\n... and {len(report.findings) - _SHOWN:,} more; --output json has all"
    if counts.unarmed_timers:
        yield (
            f"\nnote: {_so_many(counts.unarmed_timers, 'timer')} without a reminder: cancelled by the workflow, which"
            " leaves no record"
        )
    if report.unsettled:
        yield (
            f"\nnote: {_so_many(report.unsettled, 'thing')} never stood still long enough to be judged;"
            " verify again when it is quieter"
        )
    yield ""
    yield _so_many(len(report.findings), "finding") if report.findings else "nothing found: all invariants hold"


def _so_many(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
