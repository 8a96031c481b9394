"""surviving_alternatives: which of the alternatives conversations went on with."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.samples import assistant, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """Questions in three wordings, the first of which is gone back to in some sessions."""
    for number in range(12):
        edited(store, f"surviving_alternatives {number}", 3)
        if number % 3 == 0:
            store.conversation(f"surviving_alternatives {number}").switch("main~2")


def edited(store: Store, name: str, wording_count: int) -> None:
    talk = store.conversation(name)
    talk.add([user("wording 1")])
    for number in range(2, wording_count + 1):
        talk.edit(1, f"wording {number}")


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Kind, place, alternatives, how many were gone on with, and the runs that followed."""
    return (
        store.query("surviving_alternatives", **parameters)
        .select("kind", "place", "alternative_count", "current_count", "following_run_count")
        .rows()
    )


def test_places(store: Store) -> None:
    """First is what was there before, last the newest; two alternatives have none between."""
    edited(store, "a", 2)
    edited(store, "b", 4)
    edited(store, "c", 3)
    store.conversation("c").switch("main~1")
    store.conversation("c").switch("main~2")
    assert store.query("surviving_alternatives").rows() == [
        ("edit", "first", 3, 3, 0, 0.0, 0, 0.0, 0),
        ("edit", "middle", 3, 3, 1, 1 / 3, 0, 0.0, 0),
        ("edit", "last", 3, 3, 2, 2 / 3, 0, 0.0, 0),
    ]


def test_runs_that_followed(store: Store) -> None:
    """On the session's path, past later edits too; of what was left, on its own branch."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2"), user("three")])
    talk.edit(1, "one!")
    talk.add([assistant("1"), user("two"), assistant("2"), user("three"), assistant("3")])
    talk.edit(2, "two!")
    talk.add([assistant("2"), user("three"), user("four"), assistant("4")])
    assert rows(store) == [("edit", "first", 2, 0, 2 + 1), ("edit", "last", 2, 2, 2 + 1)]
    talk.add([user("more")])
    assert rows(store) == [("edit", "first", 2, 0, 2 + 1), ("edit", "last", 2, 2, 3 + 2)]
    frame = store.query("surviving_alternatives")
    assert frame["mean_following_run_count"].to_list() == [1.5, 2.5]
    assert frame["max_following_run_count"].to_list() == [2, 3]
    talk.switch("main~2")
    assert rows(store) == [("edit", "first", 2, 1, 2 + 1), ("edit", "last", 2, 1, 2 + 2)]
    talk.switch("main~1")
    assert rows(store) == [("edit", "first", 2, 1, 2 + 1), ("edit", "last", 2, 0, 2 + 2)]


def test_a_path_that_was_taken_back_is_on_no_alternative(store: Store) -> None:
    edited(store, "s", 2)
    store.conversation("s").pop()
    assert [row[3] for row in rows(store)] == [0, 0]
    frame = store.query("surviving_alternatives")
    assert frame.select("on_path_count", "current_share").rows() == [(0, None)] * 2


def test_places_on_a_branch_that_was_left(store: Store) -> None:
    """They have no alternative that was gone on with, and do not count in the shares."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two")])
    talk.edit(2, "two!")
    talk.edit(1, "one!")
    columns = ("place", "alternative_count", "on_path_count", "current_count", "current_share")
    assert store.query("surviving_alternatives").select(columns).rows() == [
        ("first", 2, 1, 0, 0.0),
        ("last", 2, 1, 1, 1.0),
    ]


def test_kinds_are_by_themselves(store: Store) -> None:
    """What was put beside another is never first, though it is the first of its kind there."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.pop()
    talk.add([user("Wait.")])
    for text in ("b", "c"):
        talk.pop()
        talk.add([assistant(text)])
    assert rows(store) == [
        ("edit", "first", 1, 0, 0),
        ("edit", "last", 1, 0, 0),
        ("regenerate", "middle", 1, 0, 0),
        ("regenerate", "last", 1, 1, 0),
    ]


def test_forks(store: Store) -> None:
    """Both ways of a fork are kept; the session is on one of them."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.branch("other", at={"position": 1})
    talk.add([assistant("b"), user("more")])
    talk.switch("main")
    assert rows(store) == [("fork", "first", 1, 1, 0), ("fork", "last", 1, 0, 1)]


def test_compactions(store: Store) -> None:
    """What one archived had been gone on with; only the newest of several is, though."""
    edited(store, "s", 2)
    talk = store.conversation("s")
    talk.add([assistant("a"), user("two")])
    talk.replace_all([user("Summary.")])
    talk.add([user("three")])
    edits = [("edit", "first", 1, 0, 0), ("edit", "last", 1, 1, 2)]
    assert rows(store) == edits
    talk = store.conversation("t")
    talk.add([user("one")])
    talk.replace_all([user("Summary.")])
    assert rows(store, include_compactions=True, session_id="t") == [
        ("compact", "first", 1, 0, 0),
        ("compact", "last", 1, 1, 0),
    ]
    assert rows(store, session_id="t") == []
    assert rows(store) == edits


def test_since_and_until(store: Store) -> None:
    """An edit point counts as a whole at the moment of its newest alternative."""
    edited(store, "a", 2)
    edited(store, "b", 3)
    moments = store.query("edit_points", session_id="b")["created_at"].to_list()
    assert [row[:3] for row in rows(store, since=moments[2])] == [
        ("edit", "first", 1),
        ("edit", "middle", 1),
        ("edit", "last", 1),
    ]
    assert [row[:3] for row in rows(store, until=moments[2])] == [
        ("edit", "first", 1),
        ("edit", "last", 1),
    ]
    assert rows(store, since=moments[2], until=moments[2]) == []


def test_sessions_and_row_limit(store: Store) -> None:
    """Of each kind the first alternatives come first."""
    edited(store, "a", 3)
    edited(store, "b", 2)
    assert [row[:3] for row in rows(store, row_limit=2)] == [
        ("edit", "first", 2),
        ("edit", "middle", 1),
    ]
    assert [row[1] for row in rows(store, session_id="b")] == ["first", "last"]
    assert rows(store, session_id="no such session") == []
