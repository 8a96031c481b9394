"""tool_usage: how often each tool is called, and how often it fails."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.rich import FAILED, REJECTED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, and how many of its calls there are, went well, failed, were refused, are open."""
    frame = store.query("tool_usage", **parameters)
    return frame.select(
        "tool_name", "call_count", "ok_count", "error_count", "rejected_count", "pending_count"
    ).rows()


def test_every_outcome_is_counted(store: Store) -> None:
    """Calls are ok, failed, refused or pending; the error share leaves the pending out."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", str(number)) for number in range(5)])
    talk.add([output("0"), output("1", FAILED), output("2", REJECTED), output("3")])
    talk.add([call("sort", "9"), output("9")])
    assert rows(store) == [("find", 5, 2, 1, 1, 1), ("sort", 1, 1, 0, 0, 0)]
    assert store.query("tool_usage")["error_share"].to_list() == [0.25, 0.0]


def test_a_tool_without_any_output_has_no_error_share(store: Store) -> None:
    store.conversation("s").add([user("go"), call("wait", "1")])
    assert rows(store) == [("wait", 1, 0, 0, 0, 1)]
    assert store.query("tool_usage")["error_share"].to_list() == [None]


def test_a_repeated_call_id_is_two_calls_with_their_own_outcomes(store: Store) -> None:
    """An output belongs to the latest earlier call with its id that has none."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "x"), output("x", FAILED), call("b", "x"), output("x")])
    assert rows(store) == [("a", 1, 0, 1, 0, 0), ("b", 1, 1, 0, 0, 0)]


def test_an_output_without_call_is_no_call(store: Store) -> None:
    store.conversation("s").add([user("go"), output("nobody"), assistant("done")])
    assert rows(store) == []


def test_calls_of_superseded_runs(store: Store) -> None:
    """They were made, so they count unless they are left out."""
    talk = store.conversation("s")
    talk.add([user("old"), call("find", "1"), output("1")])
    for _ in range(3):
        talk.pop()
    talk.add([user("new"), call("find", "1"), output("1")])
    assert rows(store) == [("find", 2, 2, 0, 0, 0)]
    assert rows(store, include_superseded=False) == [("find", 1, 1, 0, 0, 0)]


def test_shared_history_counts_once(store: Store) -> None:
    """A branch shares the calls before it: they are one call, however many branches see it."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1"), assistant("a")])
    talk.branch("other", at={"position": 3})
    talk.add([assistant("b")])
    assert rows(store) == [("find", 1, 1, 0, 0, 0)]
    assert rows(store, include_superseded=False) == [("find", 1, 1, 0, 0, 0)]


def test_an_answer_generated_again_counts_no_call_twice(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1"), assistant("a")])
    talk.pop()
    talk.add([assistant("b"), call("find", "2"), output("2")])
    assert rows(store) == [("find", 2, 2, 0, 0, 0)]


def test_compacted_calls_still_count(store: Store) -> None:
    """What a compaction archived was not replaced by an edit."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1")])
    talk.replace_all([user("Summary: found.")])
    assert rows(store, include_superseded=False) == [("find", 1, 1, 0, 0, 0)]


def test_hosted_and_function_tools_of_one_name_are_two_rows(store: Store) -> None:
    """A tool is its name and its type; sessions and runs are counted once each."""
    hosted = {"type": "web_search_call", "id": "w", "status": "completed"}
    store.conversation("a").add([user("go"), hosted, hosted])
    store.conversation("b").add([user("go"), call("web_search", "1"), output("1")])
    store.conversation("b").add([user("go"), call("web_search", "1"), output("1")])
    frame = store.query("tool_usage")
    assert frame.select("tool_type", "call_count", "session_count", "run_count").rows() == [
        ("function", 2, 1, 2),
        ("web_search", 2, 1, 1),
    ]


def test_times_are_unknown_where_nothing_recorded_them(store: Store) -> None:
    store.conversation("s").add([user("go"), call("find", "1"), output("1")])
    assert store.query("tool_usage").select("p50_seconds", "p95_seconds").rows() == [(None, None)]


def test_since_and_until(store: Store) -> None:
    """A call counts at the moment of its call: since includes it, until leaves it out."""
    talk = store.conversation("s")
    for name in ("one", "two", "three"):
        talk.add([user("go"), call(name, "x"), output("x")])
    frame = store.query("tool_usage").sort("first_called_at")
    assert frame["tool_name"].to_list() == ["one", "two", "three"]
    second, third = frame["first_called_at"].to_list()[1:]
    assert [row[0] for row in rows(store, since=second)] == ["three", "two"]
    assert [row[0] for row in rows(store, until=second)] == ["one"]
    assert [row[0] for row in rows(store, since=second, until=third)] == ["two"]


def test_tool_session_and_row_limit(store: Store) -> None:
    """The most called come first; equals stand by name; unknown names have no rows."""
    store.conversation("a").add([user("go"), call("f", "1"), call("g", "2"), call("g", "3")])
    store.conversation("b").add([user("go"), call("e", "1")])
    assert [row[0] for row in rows(store)] == ["g", "e", "f"]
    assert rows(store, tool_name="g") == [("g", 2, 0, 0, 0, 2)]
    assert [row[0] for row in rows(store, row_limit=1)] == ["g"]
    assert [row[0] for row in rows(store, session_id="b")] == ["e"]
    assert rows(store, session_id="no such session") == []
    assert rows(store, tool_name="no such tool") == []
