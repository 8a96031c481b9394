"""session_activity: how much the agents were used, day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.samples import assistant, call, output, user

FIRST, SECOND, FOURTH = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 4)
SAMPLES: dict[str, list[Any]] = {"user_id": ["ada", "nobody", None]}


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def days(store: Store, clock: Clock) -> None:
    """Two users and a nobody; a day on which nothing was done."""
    clock.set(at(1, 23))
    for name, user_id in (("s", "ada"), ("t", "ada"), ("u", None)):
        store.conversation(name).add([user("one")])
        store.conversation(name).add([call("find", "1"), output("1"), assistant("1")])
        if user_id is not None:
            store.update_session(name, user_id=user_id)
    clock.set(at(2, 0))
    talk = store.conversation("s")
    talk.add([user("two")])
    talk.edit(2, "zwei")
    talk.add([assistant("2")])
    talk.pop()
    talk.add([assistant("zwei")])
    clock.set(at(4, 12))
    store.conversation("v").add([user("hi")])
    store.update_session("v", user_id="bob")


def fill(store: Store) -> None:
    """A call on a day of its own: one that no item tells of has the time at which it was seen."""
    talk = store.conversation("session_activity")
    talk.add([user("go")])
    deep = SeenCall("2", tool_name="deep", parent=0, started_us=0, ended_us=1)
    talk.add([call("ask", "1"), output("1")], Seen(calls=[SeenCall("1", is_item=True), deep]))


def rows(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    """Day; sessions begun and active, users, runs, items, calls and edits."""
    return store.query("session_activity", **parameters).rows()


def test_days(store: Store, clock: Clock) -> None:
    """All that happened counts, on its UTC day; a day without anything is no row."""
    days(store, clock)
    assert rows(store) == [
        (FOURTH, 1, 1, 1, 1, 1, 0, 0),
        (SECOND, 0, 1, 1, 3, 4, 0, 2),
        (FIRST, 3, 3, 1, 3, 12, 3, 0),
    ]


def test_a_session_without_items_is_begun_and_not_active(store: Store, clock: Clock) -> None:
    clock.set(at(1, 0))
    store.update_session("s", user_id="ada")
    assert rows(store) == [(FIRST, 1, 0, 0, 0, 0, 0, 0)]


def test_a_compaction_is_no_run_and_a_copy_nothing_new(store: Store, clock: Clock) -> None:
    """The summary that a compaction adds is an item; what a fork copies was said before."""
    clock.set(at(1, 0))
    talk = store.conversation("s")
    talk.add([user("one"), call("find", "1"), output("1"), assistant("1")])
    clock.set(at(2, 0))
    talk.replace_all([user("Summary.")])
    assert rows(store) == [(SECOND, 0, 1, 0, 0, 1, 0, 0), (FIRST, 1, 1, 0, 1, 4, 1, 0)]
    clock.set(at(4, 0))
    talk.fork("copy")
    assert rows(store, row_limit=1) == [(FOURTH, 1, 0, 0, 0, 0, 0, 0)]
    store.conversation("new").replace_all([user("Summary.")])
    assert rows(store, row_limit=1) == [(FOURTH, 2, 1, 0, 0, 1, 0, 0)]


def test_calls_that_no_item_tells_of(store: Store, clock: Clock) -> None:
    """They were made by agents that are tools; a day with nothing else has no active session."""
    clock.set(at(1, 0))
    fill(store)
    assert rows(store) == [
        (FIRST, 1, 1, 0, 1, 3, 1, 0),
        (date(1970, 1, 1), 0, 0, 0, 0, 0, 1, 0),
    ]


def test_only_some(store: Store, clock: Clock) -> None:
    """A thing counts at its moment: since includes it, until leaves it out."""
    days(store, clock)
    assert rows(store, session_id="s") == [
        (SECOND, 0, 1, 1, 3, 4, 0, 2),
        (FIRST, 1, 1, 1, 1, 4, 1, 0),
    ]
    assert rows(store, user_id="ada")[-1] == (FIRST, 2, 2, 1, 2, 8, 2, 0)
    assert [row[0] for row in rows(store, since=at(2, 0))] == [FOURTH, SECOND]
    assert [row[0] for row in rows(store, until=at(2, 0))] == [FIRST]
    assert rows(store, since=at(2, 0), until=at(4, 0)) == [(SECOND, 0, 1, 1, 3, 4, 0, 2)]
    assert [row[0] for row in rows(store, row_limit=1)] == [FOURTH]
