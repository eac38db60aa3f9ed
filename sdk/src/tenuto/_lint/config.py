"""What a run is told: which rules, how severe, where not to look. Read from `[tool.tenuto.lint]` of `pyproject.toml`.

An unknown key or rule is an error: a setting that silently does nothing is found when it is too late.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tenuto._lint.finding import Severity
from tenuto._lint.registry import all_rules
from tenuto._lint.rule import Profile
from tenuto.errors import TenutoError

E = TypeVar("E", Profile, Severity)
FILE = "pyproject.toml"


class ConfigError(TenutoError):
    """The configuration, or an option, names something that does not exist; the message says where, and what does."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of `[tool.tenuto.lint]` and of the command line.

    Attributes:
        profile: the rules that run, before `select` and `ignore`.
        select: rules that run as well, by id or by the beginning of ids (`TEN2`).
        ignore: rules that do not run; goes before `select`.
        severities: rules that are more or less severe than they say.
        fail_on: a finding at least so severe makes the run fail.
        per_file_ignores: glob of paths -> rules that are not reported there.
        exclude: globs of paths that are not linted; helpers there are still followed.
        names: rule id -> qualified names that it finds too, such as an own clock.
        root: folder that globs are relative to: that of the configuration. None: the working directory.
    """

    profile: Profile = Profile.CORE
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict[str, Severity])
    fail_on: Severity = Severity.INFO
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    exclude: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    root: Path | None = None


def find_config(start: Path) -> Config:
    """Return the configuration that holds for a file or folder: that of the nearest `pyproject.toml` above.

    Raises:
        ConfigError: it is no TOML, or names a key or rule that does not exist.
    """
    folder = start if start.is_dir() else start.parent
    for one in (folder, *folder.parents):
        path = one / FILE
        if path.is_file():
            return read_config(path)
    return Config()


def read_config(path: Path) -> Config:
    """Return the configuration of one `pyproject.toml`; the default where it has none.

    Raises:
        ConfigError: as above.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    where, table = str(path), content
    for key in ("tool", "tenuto", "lint"):
        where = f"{path}: {key}" if where == str(path) else f"{where}.{key}"
        table = _table(table.get(key, {}), where)
    return replace(_Reader(where).read(table), root=path.parent)


def with_options(
    config: Config,
    *,
    profile: str | None,
    select: Iterable[str],
    ignore: Iterable[str],
    fail_on: str | None,
) -> Config:
    """Return a configuration with what the command line says on top of it.

    Raises:
        ConfigError: an option names a rule, profile or severity that does not exist.
    """
    return replace(
        config,
        profile=config.profile if profile is None else parse_choice(Profile, profile, "--profile"),
        select=(*config.select, *check_selectors(select, "--select")),
        ignore=(*config.ignore, *check_selectors(ignore, "--ignore")),
        fail_on=config.fail_on if fail_on is None else parse_choice(Severity, fail_on, "--severity"),
    )


def parse_choice(kind: type[E], value: object, where: str) -> E:
    """Return the member of an enumeration by its value.

    Raises:
        ConfigError: there is none.
    """
    known = [one.value for one in kind]
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{where}: there is no {kind.__name__.lower()} {value!r}; known are {', '.join(known)}")
    return kind(value)


def check_selectors(selectors: Iterable[str], where: str) -> tuple[str, ...]:
    """Return rule ids and beginnings of ids, commas between them taken apart.

    Raises:
        ConfigError: one of them is the beginning of no rule's id.
    """
    found = tuple(one.strip() for part in selectors for one in part.split(",") if one.strip())
    for one in found:
        if not any(rule.startswith(one) for rule in all_rules()):
            raise ConfigError(f"{where}: there is no rule {one!r}{_closest(one, all_rules())}")
    return found


def _closest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


class _Reader:
    """Reads one table; `where` begins each message."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._fields: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
            "profile": ("profile", lambda value, where: parse_choice(Profile, value, where)),
            "select": ("select", lambda value, where: check_selectors(_texts(value, where), where)),
            "ignore": ("ignore", lambda value, where: check_selectors(_texts(value, where), where)),
            "severity": ("severities", self._severities),
            "fail-on": ("fail_on", lambda value, where: parse_choice(Severity, value, where)),
            "per-file-ignores": ("per_file_ignores", self._per_file),
            "exclude": ("exclude", lambda value, where: tuple(_texts(value, where))),
            "names": ("names", self._names),
        }

    def read(self, table: Mapping[str, Any]) -> Config:
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in self._fields:
                raise ConfigError(f"{self._where}: there is no setting {key!r}{_closest(key, self._fields)}")
            name, parse = self._fields[key]
            values[name] = parse(value, f"{self._where}.{key}")
        return Config(**values)

    def _severities(self, value: Any, where: str) -> dict[str, Severity]:
        table = _table(value, where)
        check_selectors(table, where)
        return {rule: parse_choice(Severity, one, f"{where}.{rule}") for rule, one in table.items()}

    def _per_file(self, value: Any, where: str) -> dict[str, tuple[str, ...]]:
        return {
            glob: check_selectors(_texts(rules, f"{where}.{glob}"), f"{where}.{glob}")
            for glob, rules in _table(value, where).items()
        }

    def _names(self, value: Any, where: str) -> dict[str, tuple[str, ...]]:
        names: dict[str, tuple[str, ...]] = {}
        for rule, given in _table(value, where).items():
            check_selectors([rule], where)
            if rule not in all_rules() or not all_rules()[rule].extensible:
                open_ones = ", ".join(one.id for one in all_rules().values() if one.extensible)
                raise ConfigError(f"{where}: rule {rule} takes no names; those that do are {open_ones}")
            names[rule] = tuple(_texts(given, f"{where}.{rule}"))
        return names


def _texts(value: Any, where: str) -> list[str]:
    try:
        return msgspec.convert(value, list[str])
    except msgspec.ValidationError:
        raise ConfigError(f'{where} must be a list of texts, such as ["TEN101"]') from None


def _table(value: Any, where: str) -> dict[str, Any]:
    try:
        return msgspec.convert(value, dict[str, Any])
    except msgspec.ValidationError:
        raise ConfigError(f"{where} must be a table") from None
