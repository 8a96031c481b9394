"""turn_outcomes: how turns end."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenOutcome
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    frame = store.query("turn_outcomes", **parameters)
    return frame.select(
        "status", "outcome", "error_type", "run_count", "run_share", "session_count"
    ).rows()


def ended(outcome: str, error_type: str | None = None) -> Seen:
    return Seen(outcome=SeenOutcome(outcome, error_type))


def test_every_way_to_end(store: Store) -> None:
    """Status, outcome and type of error make a row; sessions are counted once in each."""
    talk = store.conversation("a")
    for _ in range(4):
        talk.add([user("go")])
        talk.add([assistant("done")], ended("completed"))
    talk.add([user("go")])
    talk.add([call("look", "c"), output("c")], ended("max_turns", "MaxTurnsExceeded"))
    talk.add([user("hello?")])
    talk = store.conversation("b")
    talk.add([user("go")])
    talk.add([assistant("no")], ended("error", "ValueError"))
    talk.add([user("go")])
    talk.add([call("look", "c")], ended("interrupted"))
    assert rows(store) == [
        ("completed", "completed", None, 4, 0.5, 1),
        ("error", "error", "ValueError", 1, 0.125, 1),
        ("error", "max_turns", "MaxTurnsExceeded", 1, 0.125, 1),
        ("interrupted", "interrupted", None, 1, 0.125, 1),
        ("unanswered", None, None, 1, 0.125, 1),
    ]


def test_where_nobody_watched(store: Store) -> None:
    """The items alone tell the status, and the outcome is not guessed from it."""
    store.conversation("a").add([user("go"), assistant("done")])
    store.conversation("b").add([user("go"), assistant("done"), user("go"), call("look", "c")])
    assert rows(store) == [
        ("completed", None, None, 2, 2 / 3, 2),
        ("interrupted", None, None, 1, 1 / 3, 1),
    ]


def test_superseded_runs_are_left_out_unless_asked_for(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("old"), assistant("1")])
    talk.pop()
    talk.pop()
    talk.add([user("new")])
    assert rows(store) == [("unanswered", None, None, 1, 1.0, 1)]
    assert rows(store, include_superseded=True) == [
        ("superseded", None, None, 1, 0.5, 1),
        ("unanswered", None, None, 1, 0.5, 1),
    ]


def test_parameters(store: Store) -> None:
    """since includes a run of that moment, until leaves it out; the most runs come first."""
    talk = store.conversation("a")
    talk.add([user("one")])
    talk.add([assistant("1")])
    store.conversation("b").add([user("two")])
    store.conversation("b").add([user("three")])
    frame = store.query("turn_outcomes")
    assert frame["status"].to_list() == ["unanswered", "completed"]
    first, last = frame["first_began_at"][0], frame["last_began_at"][0]
    assert first < last
    assert rows(store, row_limit=1) == [("unanswered", None, None, 2, 2 / 3, 1)]
    assert rows(store, session_id="a") == [("completed", None, None, 1, 1.0, 1)]
    assert rows(store, since=last) == [("unanswered", None, None, 1, 1.0, 1)]
    assert rows(store, until=first) == [("completed", None, None, 1, 1.0, 1)]
    assert rows(store, since=first, until=last) == [("unanswered", None, None, 1, 1.0, 1)]
    assert rows(store, session_id="no such session") == []
