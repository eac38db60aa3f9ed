"""Our linter on the labelled corpus: it finds, misses and says wrongly exactly what is recorded."""

from __future__ import annotations

from functools import cache

import pytest

from lint.judging import Verdict, judge, said_by_tenuto
from lint.known import known_of, read_known
from lint.labels import cases
from tenuto._lint.rule import Profile


@cache
def verdict_of(profile: Profile) -> Verdict:
    corpus = cases()
    return judge(corpus, {case.name: said_by_tenuto(case, profile) for case in corpus}, names_rules=True)


@pytest.mark.parametrize("profile", list(Profile))
def test_misses_and_false_alarms_are_the_known_ones(profile: Profile) -> None:
    """What the linter misses in the corpus, and what it says wrongly there, is listed by name; nothing else is.

    After an improvement, or a change that is worth its price, `make accuracy` writes the lists anew.
    """
    assert known_of(verdict_of(profile), profile) == read_known(profile)


def test_the_corpus_is_as_large_as_promised() -> None:
    """At least 300 violations and 300 near misses are labelled, three of ten by somebody who knew no rule."""
    corpus = cases()
    violations = [one for case in corpus for one in case.violations]
    near_misses = [one for case in corpus for one in case.near_misses]
    blind = [one for case in corpus if case.part == "blind" for one in (*case.violations, *case.near_misses)]
    assert len(violations) >= 300
    assert len(near_misses) >= 300
    assert len(blind) * 10 >= 3 * (len(violations) + len(near_misses))


@pytest.mark.parametrize("profile", [Profile.CORE])
def test_profile_core_raises_about_no_false_alarms(profile: Profile) -> None:
    """Of what profile `core` says about the corpus, at least 99 of 100 findings point at a violation."""
    verdict = verdict_of(profile)
    assert len(verdict.wrong) * 99 <= len(verdict.right)
