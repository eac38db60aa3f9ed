"""Exported histories read back; and files that are none, each refused with file and place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from tenuto._offline.sources import NothingFound, find_files, read_file, read_source
from tenuto._replay import events as e
from tenuto._wire.history import WorkflowHistory, export_json, import_json, number_events
from tenuto.errors import UnreadableHistory

FAILURE = e.Failure("app.Broken", "it broke", "line 1\n", e.Failure("OSError", "disk"), True, ["app.Base"])
EVENTS: list[e.Event] = [
    e.TurnStarted(1_000, ["a patch"]),
    e.ExecutionStarted("order", "i", "x", b'"\xc3\xa9"', "v1", e.Parent("p", "px", 3, "parent"), 2, "trace", 7),
    e.ActivityScheduled(1, "charge", b"\xff\x00", e.RetryPolicy(1, 2, 1.5, 3, 4, 0.5, ["OSError"]), 5, 6, 7, "a.py:1"),
    e.ActivityCompleted(1, b'{"a": 1}', 2),
    e.ActivityFailed(2, FAILURE, 3),
    e.TimerCreated(3, 9_000, "a.py:2"),
    e.TimerFired(3),
    e.EventRaised("paid", None),
    e.EventSent(4, "other", "paid", b"1", "a.py:3"),
    e.ChildCreated(5, "child", "c", None, "v1", "cx", "a.py:4"),
    e.ChildCompleted(5, b"2"),
    e.ChildFailed(6, FAILURE),
    e.ExecutionSuspended("lunch"),
    e.ExecutionResumed("after lunch"),
    e.ContinuedAsNew(7, b"3", False, "v2", [e.EventRaised("late", b"4")]),
    e.RerunStarted("i0", 8, "ada"),
    e.WokenUp("time"),
    e.ExecutionTerminated(b"5", False, "enough", "ada"),
    e.ExecutionCompleted(9, None),
    e.ExecutionFailed(10, FAILURE),
]


def history(*, is_decoded: bool = False) -> WorkflowHistory:
    return WorkflowHistory("i", "x", number_events(EVENTS), is_decoded=is_decoded)


def form() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(export_json(history()))
    return found


def test_every_event_comes_back_as_it_went() -> None:
    """Reading what was exported gives the same events, whatever their type, and exports as the same text."""
    assert {type(event) for event in EVENTS} == set(get_args(e.Event))
    text = export_json(history())
    back = import_json(text)
    assert [item.event for item in back] == EVENTS
    assert (back.instance_id, back.execution_id, back.is_decoded) == ("i", "x", False)
    assert export_json(back) == text
    assert import_json(export_json(history(is_decoded=True))).is_decoded


def test_fields_with_their_default_may_be_missing_and_unknown_ones_are_passed_over() -> None:
    """A reader takes a form with fewer fields, or with those of a newer engine."""
    changed = form()
    changed["events"] = [
        {"type": "TurnStarted", "fields": {"at_ms": 1}},
        {"type": "ActivityScheduled", "fields": {"event_id": 1, "name": "a", "color": "red"}},
    ]
    assert [item.event for item in import_json(json.dumps(changed))] == [e.TurnStarted(1), e.ActivityScheduled(1, "a")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "h.json is not JSON: line 1, column 1"),
        ('{"a":\n ?}', "line 2, column 2"),
        (b"\xff\xfe\xfd", "h.json is not JSON"),
        ("[" * 100_000, "h.json is not JSON"),
        ("[]", "holds no object"),
        ("{}", 'has no "format"'),
        ('{"instance_id": "i", "events": []}', "--export FILE"),
        ('{"format": "tenuto-history/2"}', "'tenuto-history/2', and this release reads 'tenuto-history/1'; upgrade"),
        ('{"format": "tenuto-history/1"}', "has no list of events"),
        ('{"format": "tenuto-history/1", "events": []}', 'has no text as "instance_id"'),
    ],
)
def test_what_is_no_export_is_refused_by_name(text: str | bytes, words: str) -> None:
    """The refusal names the file, says what is wrong, and where it can be known what to do."""
    with pytest.raises(UnreadableHistory) as refused:
        import_json(text, source="h.json")
    assert words in str(refused.value)
    assert refused.value.source == "h.json"


def _fields(position: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["events"][position]["fields"].update(values)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f["events"].pop(3), "events[3] has the index 4, but is event 3 of the file: some are missing"),
        (lambda f: f["events"][2].update(type="Dreamt"), "events[2] has the type 'Dreamt', which this release"),
        (lambda f: f["events"][2].update(type=["a"]), "events[2] has the type ['a']"),
        (lambda f: f["events"].insert(0, 7), "events[0] is no object"),
        (lambda f: f["events"][2].update(fields=[]), "events[2] (ActivityScheduled) has no object as its fields"),
        (lambda f: f["events"][2]["fields"].pop("name"), "events[2] (ActivityScheduled) is incomplete"),
        (_fields(0, at_ms="now"), "events[0] (TurnStarted).at_ms is not valid: Expected `int`, got `str`"),
        (_fields(0, at_ms=10**18), "which is no moment before year 10000"),
        (_fields(0, at_ms=-1), "which is no moment before year 10000"),
        (_fields(0, patches=None), "events[0] (TurnStarted).patches is not valid"),
        (_fields(2, input={"base64": "%%"}), "events[2] (ActivityScheduled).input is no payload"),
        (_fields(2, input=[1]), "events[2] (ActivityScheduled).input is no payload: neither null, nor text"),
        (_fields(2, input="\ud800"), "events[2] (ActivityScheduled).input is no payload"),
        (_fields(4, failure="it broke"), "events[4] (ActivityFailed).failure has no object as its fields"),
        (_fields(14, carryover=[1]), "events[14] (ContinuedAsNew).carryover[0] has no object"),
        (_fields(14, carryover={}), "events[14] (ContinuedAsNew).carryover is no list"),
    ],
)
def test_damaged_events_are_refused_with_their_place(damage: Callable[[dict[str, Any]], None], words: str) -> None:
    """Each refusal names event, type and field."""
    found = form()
    damage(found)
    with pytest.raises(UnreadableHistory) as refused:
        import_json(json.dumps(found), source="h.json")
    assert words in str(refused.value)


def test_nothing_but_the_own_error_leaves_the_reader() -> None:
    """Whatever single value is replaced by whatever else, the answer is a history or the documented refusal."""
    odd: list[Any] = [None, True, -1, 10**30, 1.5, "", "\x00", [], [[]], {}, {"base64": 1}, {"a": None}]
    for position in range(len(EVENTS)):
        for name in list(form()["events"][position]["fields"]):
            for value in odd:
                found = form()
                found["events"][position]["fields"][name] = value
                try:
                    import_json(json.dumps(found))
                except UnreadableHistory as refused:
                    assert f"events[{position}]" in str(refused)  # noqa: PT017  # not raising is as good


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, or a folder, is refused by its name."""
    for path in (tmp_path, tmp_path / "nothing.json", Path("a\0b")):
        with pytest.raises(UnreadableHistory, match="cannot be read"):
            read_file(path)


def test_a_history_may_be_given_in_any_form(tmp_path: Path) -> None:
    """A history, its text, its bytes, the parsed JSON and a path mean the same; only a path has a name."""
    text, path = export_json(history()), tmp_path / "h.json"
    path.write_text(text, encoding="utf-8")
    for source in (history(), text, text.encode(), json.loads(text), path, str(path)):
        found, name = read_source(source)
        assert [item.event for item in found] == EVENTS
        assert name == (str(path) if source in (path, str(path)) else "")


def test_places_mean_files(tmp_path: Path) -> None:
    """Files, folders and patterns give files, each once; a place without one is an error."""
    for name in ("a.json", "deep/er/b.json", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    both = [tmp_path / "a.json", tmp_path / "deep/er/b.json"]
    assert find_files([tmp_path]) == both
    assert find_files([f"{tmp_path}/**/*.json", str(tmp_path / "a.json")]) == both
    assert find_files([tmp_path / "c.txt"]) == [tmp_path / "c.txt"]
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "no.json", f"{tmp_path}/*.yaml"):
        with pytest.raises(NothingFound, match="there is no history at"):
            find_files([place])


def test_events_of_a_newer_engine_are_refused() -> None:
    """What a client kept of an event type from the future is exported, and refused where it would be replayed."""
    raw = form()
    raw["events"][5] = {"index": 5, "type": "UnknownEvent", "fields": {"tag": 99, "content": [1]}}
    with pytest.raises(UnreadableHistory, match="a newer engine wrote it; upgrade tenuto"):
        import_json(json.dumps(raw))
