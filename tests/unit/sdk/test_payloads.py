"""Values to JSON and back by annotation, codecs, and what functions say of their payloads."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from collections import deque
from collections.abc import Generator
from decimal import Decimal
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple, TypedDict

import pydantic
import pytest

from tenuto._payloads import Payloads, inspect_function
from tenuto.errors import PayloadError, RegistrationError
from tenuto.payload import from_payload, to_payload


class Color(enum.Enum):
    RED = "red"


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "x"


class Model(pydantic.BaseModel):
    count: int
    at: dt.datetime


@dataclasses.dataclass
class Cat:
    meows: int


@dataclasses.dataclass
class Dog:
    barks: int
    color: Color = Color.RED


@dataclasses.dataclass
class Zoo:
    pets: list[Cat | Dog]
    model: Model
    mixed: Mixed = Mixed.TEXT


class Row(TypedDict):
    id: int
    pet: Cat | Dog


class Point(NamedTuple):
    x: int
    y: int


class Name(str):
    __slots__ = ()


MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ({"a": [1, 2.5, None, True, "x"]}, Any),
        (2**70, int),
        (Dog(1), Dog),
        (Model(count=1, at=MOMENT), Model),
        (Zoo([Cat(1), Dog(2)], Model(count=1, at=MOMENT), Mixed.NUMBER), Zoo),
        ({"id": 1, "pet": Dog(3)}, Row),
        (Point(1, 2), Point),
        (Color.RED, Color),
        ([Mixed.NUMBER, Mixed.TEXT], list[Mixed]),
        (MOMENT, dt.datetime),
        (MOMENT, str | dt.datetime),
        ("text", dt.datetime | str),
        (dt.date(2026, 1, 2), dt.date),
        (dt.timedelta(hours=1, milliseconds=5), dt.timedelta),
        (Decimal("1.10"), Decimal),
        (b"\x00\xff", bytes),
        (uuid.UUID(int=7), uuid.UUID),
        ({1, 2}, set[int]),
        (frozenset({"a"}), frozenset[str]),
        ((1, "a"), tuple[int, str]),
        ((Cat(1), Dog(2)), tuple[Cat | Dog, ...]),
        ({"a": Cat(1), "b": Dog(2)}, dict[str, Cat | Dog]),
        ({3: "x"}, dict[int, str]),
        (deque([1, 2]), deque),
        (PurePosixPath("/a/b"), PurePosixPath),
        (SimpleNamespace(a=1), SimpleNamespace),
        (Name("x"), Name),
        (5, Annotated[int, "unit: s"]),
        (Cat(1), Cat | None),
        (None, Cat),
        ({"other": 1}, Cat | dict[str, int]),
    ],
    ids=repr,
)
def test_values_come_back_as_their_annotation(value: Any, annotation: Any) -> None:
    """Encoding and decoding by the annotation gives an equal value of the same type."""
    back = from_payload(to_payload(value), annotation)
    assert back == value
    assert type(back) is type(value)


def test_without_an_annotation_plain_json_comes_back() -> None:
    """Any means dictionaries and lists."""
    assert from_payload(to_payload(Dog(1))) == {"barks": 1, "color": "red"}


def test_none_is_no_payload() -> None:
    """None is told apart from JSON null and from empty text."""
    assert to_payload(None) is None
    assert to_payload("") == b'""'
    assert from_payload(b"null", Cat | None) is None


@pytest.mark.parametrize(
    ("data", "annotation", "text"),
    [
        (b'{"barks":"x"}', Dog, "the payload does not fit Dog: Expected `int`, got `str` - at `$.barks`"),
        (b"{broken", Any, "the payload does not fit Any: JSON is malformed"),
        (b'[{"meows":1},{"x":1}]', list[Cat | Dog], "missing required field `meows` (at `$[1]`)"),
        (b'"y"', Mixed, "'y' is not a valid Mixed"),
        (b'{"count":1}', Model, "Field required"),
        (b"[1]", tuple[Cat | Dog, int], "expected 2 elements, got 1"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(data: bytes, annotation: Any, text: str) -> None:
    """The error says which type was expected and where inside."""
    with pytest.raises(PayloadError) as caught:
        from_payload(data, annotation)
    assert text in str(caught.value)


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "holds a value of type object, which has no JSON form"),
        ({"a": [1 + 2j]}, "holds a value of type complex"),
        ("\ud800", "cannot be encoded as JSON"),
        (endless(), "contains itself"),
    ],
    ids=["object", "complex", "surrogate", "endless"],
)
def test_what_has_no_json_form_is_refused_by_name(value: Any, text: str) -> None:
    """The error names the type and what it was for."""
    with pytest.raises(PayloadError, match="the input of activity 'x'") as caught:
        to_payload(value, what="input of activity 'x'")
    assert text in str(caught.value)


def test_a_codec_wraps_the_json_both_ways() -> None:
    """What the codec returns is what is stored; what it cannot read is an error of the payload, not of the worker."""

    class Prefix:
        def encode(self, data: bytes) -> bytes:
            return b"v1:" + data

        def decode(self, data: bytes) -> bytes:
            if not data.startswith(b"v1:"):
                raise KeyError("unknown key")
            return data[3:]

    payloads = Payloads(Prefix())
    assert payloads.dump([1]) == b"v1:[1]"
    assert payloads.load(b"v1:[1]", list[int]) == [1]
    assert payloads.dump(None) is None
    assert payloads.load(None) is None
    with pytest.raises(PayloadError, match="could not decode the result: KeyError"):
        payloads.load(b"v9:[1]", what="result")


def test_functions_say_what_they_take_and_give() -> None:
    """Results of generators and coroutines are those of their return, and missing annotations count as Any."""

    def generator(ctx: Any, order: Dog) -> Generator[Any, Any, Cat]:
        yield
        return Cat(1)

    async def coroutine(ctx: Any) -> Cat:
        return Cat(1)

    def bare(ctx, order=None):  # type: ignore[no-untyped-def]
        return None

    class Callable:
        def __call__(self, ctx: Any, order: Cat) -> Dog:
            return Dog(1)

    # The classes are known to the module, as annotations of this test are resolved there.
    found = inspect_function(generator)
    assert (found.takes_input, found.input_type, found.result_type) == (True, Dog, Cat)
    found = inspect_function(coroutine)
    assert (found.takes_context, found.takes_input, found.result_type) == (True, False, Cat)
    found = inspect_function(bare)
    assert (found.takes_input, found.input_type, found.result_type) == (True, Any, Any)
    found = inspect_function(Callable())
    assert (found.input_type, found.result_type) == (Cat, Dog)


def test_unresolvable_annotations_are_reported_not_fatal() -> None:
    """A class local to a function cannot be found by name; its payload stays plain JSON."""

    class Local:
        pass

    def activity(ctx: Any, value: Local) -> int:
        return 1

    found = inspect_function(activity)
    assert found.input_type is Any
    assert "Local" in found.unresolved


def test_functions_with_several_inputs_are_refused() -> None:
    """The error names the surplus parameters and the way out."""

    def activity(ctx: Any, a: int, b: int) -> None: ...

    with pytest.raises(RegistrationError, match="needs the parameters b beyond"):
        inspect_function(activity)
