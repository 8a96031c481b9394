"""tool_arguments: which arguments tools are called with, what they hold, and how calls end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import call, output, user

Row = tuple[Any, ...]


def rows(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    """Tool, argument, and the columns that are asked for."""
    frame = store.query("tool_arguments", **parameters)
    return frame.select("tool_name", "argument_name", *columns).rows()


def called(store: Store, *arguments: str, session_id: str = "s", tool: str = "find") -> None:
    """A run with a call for each of these arguments."""
    talk = store.conversation(session_id)
    talk.add([user("go")])
    for text in arguments:
        talk.add([call(tool, "c", text), output("c")])


def test_what_each_argument_is_called_with(store: Store) -> None:
    """How many calls have it, how often it is null, its types, and how many values it takes."""
    called(
        store,
        '{"city": "Oslo", "days": 3}',
        '{"city": "Oslo", "days": "3"}',
        '{"city": "Rome", "days": null}',
        '{"city": "Rome"}',
    )
    columns = ("call_count", "present_share", "null_share", "distinct_value_count", "example_value")
    assert rows(store, *columns) == [
        ("find", "city", 4, 1.0, 0.0, 2, '"Oslo"'),
        ("find", "days", 3, 0.75, pytest.approx(1 / 3), 2, "3"),
    ]
    types = [
        [(each["value_type"], each["call_count"]) for each in row[2]]
        for row in rows(store, "value_types")
    ]
    assert types == [[("string", 4)], [("integer", 1), ("null", 1), ("string", 1)]]


def test_every_type_has_its_name(store: Store) -> None:
    """Those of JSON schema. Values are alike if their JSON is, whatever the spaces."""
    values = ["-1", "1", "18446744073709551616", "1.0", "true", "null", '""', "[1]", "[ 1 ]", "{}"]
    called(store, *(f'{{"x": {value}}}' for value in values))
    frame = store.query("tool_arguments")
    assert [tuple(each.values()) for each in frame["value_types"][0].to_list()] == [
        ("array", 2),
        ("integer", 2),
        ("number", 2),
        ("boolean", 1),
        ("null", 1),
        ("object", 1),
        ("string", 1),
    ]
    assert frame["distinct_value_count"].to_list() == [8]


def test_names_are_only_names(store: Store) -> None:
    """One that looks like a path, or is empty, or is deep in an object, is taken as it stands."""
    called(store, '{"": 1, "$.b": {"b": 2}, "/c": [3], "a.b": "x"}')
    assert rows(store, "example_value") == [
        ("find", "", "1"),
        ("find", "$.b", '{"b":2}'),
        ("find", "/c", "[3]"),
        ("find", "a.b", '"x"'),
    ]


def test_arguments_that_are_no_object(store: Store) -> None:
    """They count in the invalid share, and their tool is listed where it has no argument at all."""
    called(store, "", "{'a': 1}", "[1]", "null", '{"a": 1, "a": 2}', '{"a": 1}', "{}", "{}")
    called(store, '"x"', tool="read")
    called(store, "{}", tool="wait")
    columns = ("tool_call_count", "invalid_share", "call_count", "present_share")
    assert rows(store, *columns) == [
        ("find", "a", 8, 0.625, 1, pytest.approx(1 / 3)),
        ("read", None, 1, 1.0, 0, None),
        ("wait", None, 1, 0.0, 0, None),
    ]


def test_a_custom_tool_takes_a_text(store: Store) -> None:
    """It is another tool than the function of its name."""
    custom = {"type": "custom_tool_call", "name": "find", "call_id": "k", "input": "SELECT 1"}
    store.conversation("s").add([user("go"), custom])
    called(store, '{"a": 1}', '{"a": 2}')
    assert rows(store, "tool_type", "invalid_share") == [
        ("find", "a", "function", 0.0),
        ("find", None, "custom", 1.0),
    ]


def test_how_calls_with_and_without_it_end(store: Store) -> None:
    """The shares leave out the pending; calls that are no object are in neither."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for number, (arguments, text) in enumerate(
        [
            ('{"a": 1}', FAILED),
            ('{"a": 1}', "fine"),
            ('{"b": 1}', "fine"),
            ('{"b": 1}', "fine"),
            ('{"b": 1}', FAILED),
            ("broken", FAILED),
        ]
    ):
        talk.add([call("find", str(number), arguments), output(str(number), text)])
    talk.add([call("find", "w", '{"a": 1}')])
    assert rows(store, "call_count", "error_share", "absent_error_share") == [
        ("find", "a", 3, 0.5, pytest.approx(1 / 3)),
        ("find", "b", 3, pytest.approx(1 / 3), 0.5),
    ]


def test_large_values_are_cut(store: Store) -> None:
    """The example is the first call's, and short; values differ beyond what is shown."""
    called(store, *(f'{{"text": "{"x" * 5000}{number}"}}' for number in range(3)))
    assert rows(store, "distinct_value_count", "example_value") == [
        ("find", "text", 3, '"' + "x" * 79)
    ]


def test_a_call_that_many_paths_share_counts_once(store: Store) -> None:
    """So does one that an edit replaced, unless it is left out."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1", '{"a": 1}'), output("1")])
    talk.branch("other", at={"position": 3})
    talk.add([call("find", "2", '{"b": 1}'), output("2")])
    talk.switch("main")
    assert rows(store, "call_count") == [("find", "a", 1), ("find", "b", 1)]
    assert rows(store, "call_count", include_superseded=False) == [("find", "a", 1)]


def test_only_some(store: Store, clock: Clock) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "1", '{"a": 1}')], Seen(agent_name="Desk"))
    clock.wait(60)
    moment = clock.now
    inner = SeenCall(
        "i", tool_name="look", arguments='{"c": 1}', agent_name="Inner", started_us=0, parent=0
    )
    ask = SeenCall("2", started_us=0, is_item=True)
    talk.add(
        [call("ask", "2", '{"b": 1}'), output("2")], Seen(agent_name="Desk", calls=[ask, inner])
    )
    find, asked, look = ("find", "a"), ("ask", "b"), ("look", "c")
    assert rows(store) == [asked, find, look]
    assert rows(store, agent_name="Desk") == [asked, find]
    assert rows(store, agent_name="Inner") == [look]
    assert rows(store, tool_name="find") == [find]
    assert rows(store, since=moment) == [asked]
    assert rows(store, until=moment) == [find, look]
    assert rows(store, since=moment + timedelta(seconds=1)) == []
    assert rows(store, session_id="other") == []
    assert rows(store, row_limit=1) == [asked]
