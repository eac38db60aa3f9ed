"""Which ids and names are accepted."""

from __future__ import annotations

import pytest

from tenuto_engine.core.limits import refuse_instance_id, refuse_name

STRANGE = [
    "a",
    "|",
    "@",
    "'\"",
    "{}",
    "{0}%s",
    " ",
    "a b",
    "ключ",
    "日本",
    "🙂",
    "..",
    "/",
    "\\",
    "a:b",
    "*?[",
    "i" * 1024,
]
REFUSED = {
    "": "empty",
    "i" * 1025: "1,025 bytes",
    "й" * 513: "1,026 bytes",
    "a\nb": "U+000A",
    "a\rb": "U+000D",
    "\x00": "U+0000",
    "a\tb": "U+0009",
    "\x7f": "U+007F",
    "\x85": "U+0085",
    "\u2028": "U+2028",
    "\ud800": "U+D800",
}


@pytest.mark.parametrize("instance_id", STRANGE, ids=lambda text: text[:8])
def test_strange_ids_are_accepted(instance_id: str) -> None:
    """Bars, at signs, quotes, braces, spaces, any script, and 1,024 bytes are fine."""
    assert refuse_instance_id(instance_id) is None


@pytest.mark.parametrize(("instance_id", "said"), REFUSED.items(), ids=ascii)
def test_ids_that_break_lines_or_bounds_are_refused(instance_id: str, said: str) -> None:
    """Empty, longer than 1,024 bytes, control characters and lone surrogates are refused, and the text says which."""
    refusal = refuse_instance_id(instance_id)
    assert refusal is not None
    assert said in refusal
    # The refusal itself must travel: it goes into a status message and a log line.
    assert "\n" not in refusal
    refusal.encode()


@pytest.mark.parametrize("name", ["ship", "Ship It!", "пакет", "a.b.c", "n" * 512])
def test_names_are_accepted(name: str) -> None:
    """Names are any text of 1 to 512 bytes without control characters."""
    assert refuse_name("activity name", name) is None


@pytest.mark.parametrize(
    ("name", "said"), [("", "empty"), ("n" * 513, "513 bytes"), ("a\nb", "U+000A"), ("\udfff", "U+DFFF")], ids=ascii
)
def test_names_are_refused_by_what_they_are(name: str, said: str) -> None:
    """The refusal says what kind of name, and why."""
    refusal = refuse_name("event name", name)
    assert refusal is not None
    assert refusal.startswith("the event name ")
    assert said in refusal
