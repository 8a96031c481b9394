"""tool_errors: what goes wrong in each tool, by type of error."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import FAILED, REJECTED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """The same failure in many sessions, and another in one of them."""
    for number in range(5):
        fail(store, f"tool_errors_{number}", f"no order {number}")
    fail(store, "tool_errors_0", "late", tool="wait")


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, type, shape, and how many of its calls failed so."""
    frame = store.query("tool_errors", **parameters)
    return frame.select("tool_name", "error_type", "error_shape", "error_count").rows()


def failure(call_id: str, error: str | None, error_type: str | None = None) -> SeenCall:
    return SeenCall(call_id, status="error", error=error, error_type=error_type, is_item=True)


def fail(store: Store, session_id: str, *errors: str, tool: str = "find") -> None:
    """One run with calls at once that all failed, with these texts."""
    talk = store.conversation(session_id)
    ids = [str(number) for number in range(len(errors))]
    talk.add([user("go")])
    talk.add(
        [*(call(tool, each) for each in ids), *(output(each, "failed") for each in ids)],
        Seen(calls=[failure(each, error) for each, error in zip(ids, errors, strict=True)]),
    )


def shapes(store: Store, *errors: str) -> list[str]:
    fail(store, "s", *errors)
    return [row[2] for row in rows(store)]


def test_known_types_and_unknown_ones(store: Store) -> None:
    """A known type is one row whatever the text; without one, a shape is. The rest is no error."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [*(call("find", each) for each in "abcde"), *(output(each, "no") for each in "abcde")],
        Seen(
            calls=[
                failure("a", "no order 7", "KeyError"),
                failure("b", "nothing like it", "KeyError"),
                failure("c", "no order 7"),
                failure("d", "no order 12"),
                SeenCall("e", status="ok", is_item=True),
            ]
        ),
    )
    talk.add([call("find", "f"), output("f", REJECTED), call("find", "g")])
    assert rows(store) == [
        ("find", "KeyError", None, 2),
        ("find", None, "no order #", 2),
    ]
    assert store.query("tool_errors")["error_share"].to_list() == [0.5, 0.5]


def test_the_text_of_the_output_where_no_other_tells_of_the_error(store: Store) -> None:
    """What the SDK writes into the output of a failed tool is known as an error too."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "c"), output("c", FAILED)])
    hosted = {"type": "mcp_call", "id": "m", "name": "read", "server_label": "docs"}
    talk.add([{**hosted, "arguments": "{}", "status": "failed", "output": "gone"}])
    assert rows(store) == [("find", None, FAILED, 1), ("read", None, "gone", 1)]
    assert store.query("tool_errors")["example_error"].to_list() == [FAILED, "gone"]


def test_numbers_quoted_texts_and_ids_make_no_difference(store: Store) -> None:
    assert shapes(
        store,
        "no user 'Ann O.' with \"ab\" at `x`",
        "no user 'Bob' with \"c\" at `y z`",
        "can't find it, isn't there",
    ) == ['no user "..." with "..." at "..."', "can't find it, isn't there"]


def test_numbers(store: Store) -> None:
    """Also of several parts, and within a word."""
    assert shapes(
        store,
        "took 12.5 s at 2026-01-31",
        "took 3 s at 2025.11.30",
        "row17 is full",
        "row2 is full",
    ) == ["row# is full", "took # s at #"]


def test_ids(store: Store) -> None:
    """Hexadecimal digits, with or without 0x, and UUIDs; a word of such letters is none."""
    assert shapes(
        store,
        "item 0xdeadbeef of order_8f3ab2 was added",
        "item 0x12 of order_00c9 was added",
        "key 123e4567-e89b-12d3-a456-426614174000 is gone",
        "key aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee is gone",
    ) == ["item # of order_# was added", "key # is gone"]


def test_only_the_first_line_and_not_all_of_it(store: Store) -> None:
    """What stands below the first line is a trace; the example has all."""
    text = "\n  Timeout \nline 3 of a.py"
    fail(store, "s", text, "Timeout", "x" * 700)
    assert rows(store) == [("find", None, "Timeout", 2), ("find", None, "x" * 100, 1)]
    fail(store, "later", text)
    assert store.query("tool_errors")["example_error"].to_list() == [text, "x" * 700]


def test_an_error_without_words(store: Store) -> None:
    """A call can break off with nothing: there is no shape, and no guess."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "a")], Seen(calls=[failure("a", None)]))
    assert rows(store) == [("find", None, None, 1)]


def test_times_sessions_and_the_latest_example(store: Store, clock: Clock) -> None:
    """The example is the latest failure of its kind, whatever its text."""
    for session_id, error in (("a", "z 1"), ("a", "m 2"), ("b", "k 3"), ("b", "z 4")):
        clock.wait(60)
        fail(store, session_id, error, tool="look" if error[0] == "k" else "find")
    moments = store.sql("select created_at from tool_calls order by id")["created_at"].to_list()
    found = store.query("tool_errors", row_limit=1).select(
        "error_shape",
        "error_count",
        "session_count",
        "run_count",
        "first_failed_at",
        "last_failed_at",
        "example_error",
        "error_share",
    )
    assert found.rows() == [("z #", 2, 2, 2, moments[0], moments[3], "z 4", 2 / 3)]
    [last] = store.query("tool_errors", row_limit=1)["last_call_id"].to_list()
    assert store.sql("select max(id) as id from tool_calls").item() == last
    assert rows(store, since=moments[1], until=moments[3]) == [
        ("find", None, "m #", 1),
        ("look", None, "k #", 1),
    ]


def test_only_some(store: Store) -> None:
    """The share is that of what was picked; paths that an edit replaced count unless left out."""
    talk = store.conversation("a")
    talk.add([user("go")])
    talk.add([call("find", "1"), output("1", FAILED)], Seen(agent_name="Desk"))
    fail(store, "b", "gone")
    assert rows(store, agent_name="Desk") == [("find", None, FAILED, 1)]
    assert rows(store, session_id="b") == [("find", None, "gone", 1)]
    assert store.query("tool_errors", session_id="b")["error_share"].to_list() == [1.0]
    assert len(rows(store, tool_name="find")) == 2
    assert rows(store, tool_name="look") == []
    talk.rewind(1)
    assert len(rows(store)) == 2
    assert rows(store, include_superseded=False) == [("find", None, "gone", 1)]


def test_what_fails_in_an_agent_that_is_a_tool(store: Store) -> None:
    """Its calls are no items, and count as calls of their tools."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("ask", "a"), output("a")],
        Seen(
            calls=[
                SeenCall("a", status="ok", is_item=True),
                SeenCall("b", tool_name="look", status="error", error="gone", parent=0),
            ]
        ),
    )
    talk.add([assistant("done")])
    assert rows(store) == [("look", None, "gone", 1)]
