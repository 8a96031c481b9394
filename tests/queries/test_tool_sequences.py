"""tool_sequences: which tools are called one after the other, so many at a time."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.queries.test_tool_transitions import done
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"sequence_length": [1, 2, "5", 0]}

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """Two runs with three calls and more."""
    talk = store.conversation("tool_sequences")
    for names in ("abcab", "abc"):
        talk.add([user("go"), *(each for name in names for each in done(name)), assistant("1")])


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The tools as one word, how often they come so, and in how many runs."""
    frame = store.query("tool_sequences", **parameters)
    return [
        ("".join(name or "?" for name in tools), *counts)
        for tools, *counts in frame.select("tools", "occurrence_count", "run_count").iter_rows()
    ]


def act(store: Store, session_id: str, names: str) -> None:
    """One run that calls these tools, of one letter each, one after the other."""
    calls = [each for name in names for each in done(name)]
    store.conversation(session_id).add([user("go"), *calls, assistant("done")])


def test_sequences_overlap_and_stay_within_a_run(store: Store) -> None:
    """Those of the most runs come first; a run that has one twice supports it once."""
    act(store, "s", "aaaa")
    act(store, "s", "abc")
    act(store, "t", "abcd")
    act(store, "t", "ab")
    store.conversation("t").add([user("nothing to call"), assistant("ok")])
    assert rows(store) == [("abc", 2, 2), ("aaa", 2, 1), ("bcd", 1, 1)]
    shares = store.query("tool_sequences")["support_share"].to_list()
    assert shares == [0.5, 0.25, 0.25]


def test_any_length(store: Store) -> None:
    """Runs with fewer calls have no such sequence; they still count among those that support."""
    act(store, "s", "abab")
    act(store, "s", "b")
    assert rows(store, sequence_length=1) == [("b", 3, 2), ("a", 2, 1)]
    assert rows(store, sequence_length=2) == [("ab", 2, 1), ("ba", 1, 1)]
    assert rows(store, sequence_length=4) == [("abab", 1, 1)]
    assert rows(store, sequence_length=5) == []
    assert rows(store, sequence_length=0) == []
    assert rows(store, sequence_length=-1) == []
    shares = store.query("tool_sequences", sequence_length=4)["support_share"].to_list()
    assert shares == [0.5]


def test_long_sequences_keep_their_order(store: Store) -> None:
    act(store, "s", "abcdefghijklmnopqrst")
    found = rows(store, sequence_length=18)
    assert [row[0] for row in found] == [
        "abcdefghijklmnopqr",
        "bcdefghijklmnopqrs",
        "cdefghijklmnopqrst",
    ]


def test_how_often_one_of_the_calls_fails(store: Store) -> None:
    """Two failures in one occurrence are one."""
    talk = store.conversation("s")
    failed = [*done("a", text=FAILED), *done("b"), *done("c", text=FAILED)]
    talk.add([user("go"), *failed, *done("a"), *done("b"), *done("c")])
    frame = (
        store.query("tool_sequences").select("tools", "error_count", "error_share").sort("tools")
    )
    assert frame.rows() == [
        (["a", "b", "c"], 1, 0.5),
        (["b", "c", "a"], 1, 1.0),
        (["c", "a", "b"], 1, 1.0),
    ]


def test_calls_at_once_and_calls_of_no_known_tool(store: Store) -> None:
    """Calls of one response stand in its order, not in that of their outputs."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "1"), call("b", "2"), output("2"), output("1")])
    talk.add(done("c"), Seen(calls=[SeenCall("x", status="ok")]))
    assert sorted(rows(store)) == [("abc", 1, 1), ("bc?", 1, 1)]


def test_paths_are_not_mixed(store: Store) -> None:
    """What was replaced goes on from what it shares with the path, and only it counts there."""
    talk = store.conversation("s")
    calls = [each for name in "abcd" for each in done(name)]
    talk.add([user("go"), *calls, assistant("old")])
    talk.rewind({"position": 5})
    talk.add([*done("x"), assistant("new")])
    assert rows(store, include_superseded=False) == [("abx", 1, 1)]
    assert rows(store) == [("abc", 1, 1), ("abx", 1, 1), ("bcd", 1, 1)]
    assert store.query("tool_sequences")["support_share"].to_list() == [0.5] * 3
    assert rows(store, sequence_length=1)[0] == ("a", 1, 1)
    assert sorted(rows(store, sequence_length=2)) == [
        ("ab", 1, 1),
        ("bc", 1, 1),
        ("bx", 1, 1),
        ("cd", 1, 1),
    ]


def test_a_tree_of_tries(store: Store) -> None:
    """What was replaced in what was replaced follows what both had kept."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("a"), *done("b"), assistant("1")])
    talk.rewind({"position": 3})
    talk.add([*done("c"), *done("d"), assistant("2")])
    talk.rewind({"position": 5})
    talk.add([*done("e"), assistant("3")])
    talk.rewind({"position": 1})
    talk.add([assistant("4")])
    assert rows(store) == [("acd", 1, 1), ("ace", 1, 1)]
    assert store.query("tool_sequences")["support_share"].to_list() == [1 / 3, 1 / 3]
    assert rows(store, include_superseded=False) == []


def test_an_agent_that_is_a_tool(store: Store) -> None:
    """Its calls are a sequence of their own."""
    inner = [SeenCall(each, tool_name=each, status="ok", parent=0) for each in "xyz"]
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(done("a"), Seen(calls=[SeenCall("c", status="ok", is_item=True), *inner]))
    talk.add([*done("b"), *done("c")])
    assert rows(store) == [("abc", 1, 1), ("xyz", 1, 1)]


def test_only_some(store: Store, clock: Clock) -> None:
    """A filter makes no neighbours of calls that are none; a sequence has its last call's time."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for name, agent in zip("abcd", ("One", "One", "Two", "One"), strict=True):
        talk.add(done(name), Seen(agent_name=agent))
        clock.wait(60)
    moments = store.sql("select created_at from tool_calls order by id")["created_at"].to_list()
    act(store, "t", "abc")
    assert rows(store, sequence_length=2, agent_name="One") == [("ab", 1, 1)]
    assert rows(store, session_id="t") == [("abc", 1, 1)]
    assert rows(store, tool_name="d") == [("bcd", 1, 1)]
    assert rows(store, since=moments[2], until=moments[3]) == [("abc", 1, 1)]
    assert rows(store, since=moments[3], session_id="s") == [("bcd", 1, 1)]
    assert rows(store, row_limit=1) == [("abc", 2, 2)]
    shares = store.query("tool_sequences", tool_name="d")["support_share"].to_list()
    assert shares == [0.5]
