"""What a run is told: which rules, how severe, where not to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Profile


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of `[tool.tenuto.lint]` and of the command line.

    Attributes:
        profile: the rules that run, before `select` and `ignore`.
        select: rules that run as well, by id or by the beginning of ids (`TEN2`).
        ignore: rules that do not run; goes before `select`.
        severities: rules that are more or less severe than they say.
        per_file_ignores: glob of paths -> rules that are not reported there.
        exclude: globs of paths that are not linted; helpers there are still followed.
        names: rule id -> qualified names that it finds too, such as an own clock.
    """

    profile: Profile = Profile.CORE
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict[str, Severity])
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    exclude: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
