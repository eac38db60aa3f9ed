"""The engine's settings: defaults, precedence, and refusals that name the option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenuto_engine.settings import SettingsRefused, build, from_arguments, parser


def test_defaults() -> None:
    """Without any option the embedded store is used, on loopback, for an app without version."""
    made = from_arguments([], {})
    assert (made.state_store, made.key_prefix, made.durability) == ("sqlite:///tenuto.db", "tenuto", "D2")
    assert (made.listen, made.http, made.token_file) == ("127.0.0.1:50001", "127.0.0.1:7071", "")
    runtime = made.runtime
    assert (runtime.app, runtime.version, runtime.shards, runtime.lease_seconds) == ("default", "", 64, 10.0)
    assert (runtime.retain_completed_seconds, runtime.retain_failed_seconds) == (604_800.0, 2_592_000.0)
    assert made.limits.payload_bytes == 2 << 20


@pytest.mark.parametrize(
    ("url", "tier"),
    [
        ("memory:", "D0"),
        ("redis://localhost", "D1"),
        ("rediss://localhost", "D1"),
        ("redis+sentinel://a/b", "D1"),
        ("redis+cluster://a", "D1"),
        ("sqlite:///x.db", "D2"),
        ("postgresql://localhost/x", "D2"),
    ],
)
def test_durability_follows_the_store(url: str, tier: str) -> None:
    """Each store's default is the tier it delivers as shipped; an explicit tier wins, in either case."""
    assert build({"state_store": url}).durability == tier
    assert build({"state_store": url, "durability": "d3"}).durability == "D3"


def test_arguments_win_over_the_environment() -> None:
    """Each option is read from its variable where no argument is given."""
    env = {"TENUTO_APP": "env", "TENUTO_SHARDS": "8", "TENUTO_DURABILITY_UNVERIFIED": "1"}
    made = from_arguments(["--app", "arg"], env)
    assert (made.runtime.app, made.runtime.shards, made.durability_unverified) == ("arg", 8, True)


def test_every_option_has_a_variable() -> None:
    """Whatever takes a value on the command line can be given by the environment alone."""
    sample = {
        "app": "a",
        "version": "v1",
        "state_store": "memory:",
        "key_prefix": "k",
        "durability": "D0",
        "durability_unverified": "1",
        "listen": "unix:/tmp/x",
        "listen_durabletask": "127.0.0.1:4001",
        "dapr_http": "127.0.0.1:3500",
        "http": "[::1]:0",
        "shards": "7",
        "capacity": "2",
        "lease_store": "redis://leases",
        "lease_seconds": "3",
        "drain_seconds": "0",
        "retain_completed": "1",
        "retain_failed": "2",
        "max_payload_bytes": "2048",
        "max_history_events": "100",
        "turn_timeout": "5",
        "max_deliveries": "3",
        "log_format": "json",
        "log_level": "debug",
    }
    options = {x.dest for x in parser()._actions} - {"help", "release", "token_file"}
    assert options == set(sample)
    env = {f"TENUTO_{name.upper()}": value for name, value in sample.items()}
    assert from_arguments([], env) == build(sample)


def test_every_option_has_its_row() -> None:
    """The table of docs/running.md has all options, in the order of --help, each with its variable."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "running.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--[a-z-]+)` \| (.*?) \| (.*?) \| .+ \|$", page, re.MULTILINE)
    options = [action.option_strings[-1] for action in parser()._actions if action.dest != "help"]
    variables = {option: f"`TENUTO_{option[2:].replace('-', '_').upper()}`" for option in options}
    assert [(option, variable) for option, variable, _ in rows] == [
        (option, "none" if option == "--release" else variables[option]) for option in options
    ]
    assert [option for option, _, default in rows if not default] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app", "Shop"),
        ("app", ""),
        ("app", "a" * 121),
        ("version", "a b"),
        ("key_prefix", "a:b"),
        ("durability", "D4"),
        ("shards", "0"),
        ("shards", "4097"),
        ("shards", "many"),
        ("lease_seconds", "0.1"),
        ("lease_seconds", "nan"),
        ("lease_seconds", "soon"),
        ("drain_seconds", "-1"),
        ("retain_completed", "-1"),
        ("retain_failed", "inf"),
        ("turn_timeout", "0"),
        ("max_payload_bytes", "10"),
        ("max_payload_bytes", "1e6"),
        ("max_history_events", "5"),
        ("listen", "50001"),
        ("listen", "localhost:"),
        ("listen", "localhost:http"),
        ("listen", "localhost:65536"),
        ("listen", "unix:"),
        ("http", "unix:/tmp/x"),
        ("http", ":7071"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("token_file", "no/such/file"),
    ],
)
def test_refusals_name_the_option(name: str, value: str) -> None:
    """What is malformed or out of range is refused before anything starts, by the option's name and value."""
    with pytest.raises(SettingsRefused) as refused:
        build({name: value})
    assert f"--{name.replace('_', '-')} " in str(refused.value)
    assert value in str(refused.value)


def test_a_port_out_of_range_is_called_so() -> None:
    """HOST:PORT with too high a port is not told to be HOST:PORT."""
    for port in ("65536", "99999", "9" * 5_000):
        with pytest.raises(SettingsRefused, match="ports end at 65535"):
            build({"http": f"127.0.0.1:{port}"})


def test_empty_token_file_is_refused(tmp_path: Path) -> None:
    """An empty file would let everybody in, which is not what was asked for."""
    token = tmp_path / "token"
    token.write_text(" \n")
    with pytest.raises(SettingsRefused, match=r"--token-file .* is empty"):
        build({"token_file": str(token)})
    token.write_text("secret\n")
    assert build({"token_file": str(token)}).token_file == str(token)
