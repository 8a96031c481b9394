"""turns_per_session: how long conversations are, in turns."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Numbers of turns, and how many sessions have so many."""
    frame = store.query("turns_per_session", **parameters)
    return frame.select("turn_count", "session_count").rows()


def talk(store: Store, name: str, turn_count: int) -> None:
    """A session of so many turns."""
    for number in range(turn_count):
        store.conversation(name).add([user(f"question {number}"), assistant("yes")])


def test_shares_of_sessions_and_of_turns(store: Store) -> None:
    """Shares add up over the rows; a long session holds many of the turns."""
    for name, turn_count in {"a": 1, "b": 1, "c": 2, "d": 4}.items():
        talk(store, name, turn_count)
    frame = store.query("turns_per_session")
    assert frame.rows() == [
        (1, 2, 0.5, 0.5, 0.25),
        (2, 1, 0.25, 0.75, 0.25),
        (4, 1, 0.25, 1.0, 0.5),
    ]
    assert frame.columns == [
        "turn_count",
        "session_count",
        "session_share",
        "cumulative_session_share",
        "turn_share",
    ]


def test_a_turn_that_was_edited_counts_once(store: Store) -> None:
    """So does one whose answer was generated again; the replaced ones count when asked for."""
    edited = store.conversation("edited")
    edited.add([user("2 + 3?"), assistant("5")])
    edited.pop()
    edited.pop()
    edited.add([user("2 + 2?"), assistant("4")])
    again = store.conversation("again")
    again.add([user("Weather?"), call("look", "c"), output("c"), assistant("Rain.")])
    again.pop()
    again.add([assistant("Sun.")])
    assert rows(store) == [(1, 2)]
    assert rows(store, include_superseded=True) == [(2, 2)]


def test_compacted_turns_were_said(store: Store) -> None:
    """What a compaction archived counts, its summary does not, even in the middle of a turn."""
    compacted = store.conversation("s")
    compacted.add([user("one"), assistant("1")])
    compacted.add([user("two"), call("look", "c"), output("c")])
    compacted.replace_all([user("Summary.")])
    compacted.add([assistant("2")])
    compacted.add([user("three")])
    assert rows(store) == [(3, 1)]


def test_sessions_without_turns_and_forked_ones(store: Store) -> None:
    """A session without turns is no conversation; a fork's copy is the other session's."""
    store.update_session("empty", title="nothing yet")
    store.conversation("summary").replace_all([user("What was said elsewhere.")])
    talk(store, "a", 3)
    store.conversation("a").fork("b")
    assert rows(store) == [(3, 1)]
    talk(store, "b", 1)
    assert rows(store) == [(1, 1), (3, 1)]


def test_a_conversation_opened_by_the_assistant(store: Store) -> None:
    """What comes before the first question is a turn without one, as in `turn_pairs`."""
    store.conversation("s").add([assistant("Hello."), user("Hi."), assistant("Bye.")])
    assert rows(store) == [(2, 1)]


def test_since_and_until_choose_sessions(store: Store) -> None:
    """By the moment of the first turn: a conversation is never cut in two."""
    talk(store, "a", 1)
    talk(store, "b", 2)
    talk(store, "a", 2)
    pairs = store.query("turn_pairs", session_id="b")
    start, later = pairs["created_at"].to_list()
    assert rows(store, since=start) == [(2, 1)]
    assert rows(store, until=start) == [(3, 1)]
    assert rows(store, since=later) == []
    assert rows(store, until=later) == [(2, 1), (3, 1)]


def test_session_and_row_limit(store: Store) -> None:
    """The shortest come first; the shares are those of what was chosen, before the limit."""
    talk(store, "a", 1)
    talk(store, "b", 2)
    assert rows(store, row_limit=1) == [(1, 1)]
    limited = store.query("turns_per_session", row_limit=1)
    assert limited["turn_share"].to_list() == [pytest.approx(1 / 3)]
    assert rows(store, session_id="b") == [(2, 1)]
    assert store.query("turns_per_session", session_id="b")["session_share"].to_list() == [1.0]
    assert rows(store, session_id="no such session") == []
