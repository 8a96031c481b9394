"""edit_kinds: how often conversations went another way, by kind."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from tests.samples import assistant, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """One of each kind, in sessions of their own, and a conversation that went one way."""
    edited(store, "edit_kinds_edited", "one", "two")
    talk = store.conversation("edit_kinds_again")
    talk.add([user("go"), assistant("a")])
    talk.regenerate()
    talk.add([assistant("b")])
    talk = store.conversation("edit_kinds_forked")
    talk.add([user("go"), assistant("a")])
    talk.branch("other", at={"position": 1})
    talk.add([assistant("b")])
    talk.switch("main")
    store.conversation("edit_kinds_plain").add([user("go"), assistant("a")])


def edited(store: Store, name: str, *texts: str) -> None:
    """A question in several wordings, each answered."""
    talk = store.conversation(name)
    talk.add([user(texts[0]), assistant("a")])
    for text in texts[1:]:
        talk.edit(1, text)
        talk.add([assistant("a")])


def counts(store: Store, **parameters: Any) -> list[Row]:
    """Kind, edit points, alternatives, changes, sessions, and where the newest is current."""
    return (
        store.query("edit_kinds", **parameters)
        .select(
            "kind",
            "edit_point_count",
            "alternative_count",
            "change_count",
            "session_count",
            "newest_current_count",
        )
        .rows()
    )


def test_kinds_with_their_shares(store: Store) -> None:
    """Shares are of the sessions with items and of the edit points; the most frequent is first."""
    fill(store)
    edited(store, "more", "one", "two", "three", "four")
    store.update_session("nothing said", title="Empty")
    assert store.query("edit_kinds").rows() == [
        ("edit", 2, 6, 4, 2, 0.4, 3.0, 4, 2, 2, 1.0),
        ("fork", 1, 2, 1, 1, 0.2, 2.0, 2, 1, 0, 0.0),
        ("regenerate", 1, 2, 1, 1, 0.2, 2.0, 2, 1, 1, 1.0),
    ]


def test_several_edit_points_of_a_session(store: Store) -> None:
    """Sessions are counted once each, places one by one, those at the start of sessions too."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), assistant("2")])
    talk.edit(2, "two!")
    talk.edit(1, "one!")
    edited(store, "t", "one", "two")
    assert counts(store) == [("edit", 3, 6, 3, 2, 2)]
    assert counts(store, session_id="s") == [("edit", 2, 4, 2, 1, 1)]
    assert store.query("edit_kinds", session_id="s")["session_share"].to_list() == [1.0]


def test_who_goes_back_is_seen(store: Store) -> None:
    """The newest alternative is not current where the conversation is on an older one."""
    edited(store, "s", "one", "two", "three")
    assert counts(store) == [("edit", 1, 3, 2, 1, 1)]
    store.conversation("s").switch("main~2")
    assert counts(store) == [("edit", 1, 3, 2, 1, 0)]


def test_edit_points_on_a_branch_that_was_left(store: Store) -> None:
    """They count, but nobody chose between their alternatives: no share where there are no more."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.regenerate()
    talk.add([assistant("2")])
    talk.edit(1, "two")
    columns = ("kind", "edit_point_count", "on_path_count", "newest_current_share")
    assert store.query("edit_kinds").select(columns).rows() == [
        ("edit", 1, 1, 1.0),
        ("regenerate", 1, 0, None),
    ]


def test_a_place_with_alternatives_of_two_kinds(store: Store) -> None:
    """It counts with each kind; what was there first has the kind of the first put beside it."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.pop()
    talk.add([user("Wait.")])
    talk.pop()
    talk.add([assistant("b")])
    assert counts(store) == [("edit", 1, 2, 1, 1, 0), ("regenerate", 1, 1, 1, 1, 1)]


def test_compactions(store: Store) -> None:
    """They are shown when asked for, and what they archived is as current as it was."""
    edited(store, "s", "one", "two")
    talk = store.conversation("s")
    talk.replace_all([user("Summary.")])
    assert counts(store) == [("edit", 1, 2, 1, 1, 1)]
    assert counts(store, include_compactions=True) == [
        ("compact", 1, 1, 1, 1, 1),
        ("edit", 1, 2, 1, 1, 1),
    ]
    assert store.query("edit_kinds")["on_path_count"].to_list() == [1]


def test_since_and_until(store: Store) -> None:
    """An edit point counts as a whole at the moment of its newest alternative."""
    edited(store, "old", "one", "two")
    edited(store, "new", "one", "two", "three")
    store.conversation("plain").add([user("go")])
    moments = store.query("edit_points", session_id="new")["created_at"].to_list()
    assert counts(store, since=moments[1]) == [("edit", 1, 3, 2, 1, 1)]
    assert counts(store, since=moments[2]) == [("edit", 1, 3, 2, 1, 1)]
    assert counts(store, until=moments[2]) == [("edit", 1, 2, 1, 1, 1)]
    shares = [store.query("edit_kinds", **{end: moments[2]}) for end in ("since", "until")]
    assert [frame["session_share"].to_list() for frame in shares] == [[0.5], [0.5]]
    assert counts(store, since=moments[2], until=moments[2]) == []


def test_row_limit_and_unknown_sessions(store: Store) -> None:
    """Kinds that are as frequent stand in the order of their names."""
    fill(store)
    assert [row[0] for row in counts(store, row_limit=2)] == ["edit", "fork"]
    assert counts(store, session_id="no such session") == []
    assert counts(store, session_id="edit_kinds_plain") == []


def test_the_share_of_many_sessions(store: Store) -> None:
    fill(store)
    for number in range(2):
        store.conversation(f"more {number}").add([user("go")])
    shares = store.query("edit_kinds")["session_share"].to_list()
    assert shares == [pytest.approx(1 / 6)] * 3
