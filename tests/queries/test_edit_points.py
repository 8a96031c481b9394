"""edit_points: where conversations went more than one way."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """What the query answers, without ids and times."""
    frame = store.query("edit_points", **parameters)
    return frame.select(
        "position", "kind", "rank", "alternative_count", "is_current", "text"
    ).rows()


def edited(store: Store, name: str = "s") -> None:
    """A question that is edited."""
    talk = store.conversation(name)
    talk.add([user("2 + 3?"), assistant("5")])
    talk.pop()
    talk.pop()
    talk.add([user("2 + 2?"), assistant("4")])


def test_a_conversation_that_went_one_way_has_none(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), assistant("2")])
    talk.pop()
    assert rows(store) == []


def test_an_edit(store: Store) -> None:
    """The first alternative is what was there before; the latest is current."""
    edited(store)
    assert rows(store) == [(1, "edit", 1, 2, False, "2 + 3?"), (1, "edit", 2, 2, True, "2 + 2?")]
    assert store.query("edit_points")["item_before_id"].to_list() == [None, None]


def test_two_edits_of_one_message_are_three_alternatives(store: Store) -> None:
    talk = store.conversation("s")
    for text in ("first", "second", "third"):
        talk.pop()
        talk.add([user(text)])
    assert rows(store) == [
        (1, "edit", 1, 3, False, "first"),
        (1, "edit", 2, 3, False, "second"),
        (1, "edit", 3, 3, True, "third"),
    ]


def test_a_regeneration_in_the_middle_of_a_run(store: Store) -> None:
    """The alternatives answer the same words after the same output."""
    talk = store.conversation("s")
    talk.add([user("Weather?"), call("look", "c"), output("c", "wet"), assistant("Rain.")])
    talk.pop()
    talk.add([assistant("Drizzle.")])
    assert rows(store) == [
        (4, "regenerate", 1, 2, False, "Rain."),
        (4, "regenerate", 2, 2, True, "Drizzle."),
    ]


def test_an_output_popped_with_its_call_id_repeated(store: Store) -> None:
    """A call with the id of the one before it is an alternative of its own."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "x"), output("x", "1")])
    talk.pop()
    talk.pop()
    talk.add([call("b", "x"), output("x", "2")])
    assert rows(store) == [
        (2, "regenerate", 1, 2, False, "a({})"),
        (2, "regenerate", 2, 2, True, "b({})"),
    ]
    assert store.query("edit_points")["item_type"].to_list() == ["function_call"] * 2


def test_a_fork_by_name(store: Store) -> None:
    """Both ways are alternatives, and the one the session is on is current."""
    talk = store.conversation("s")
    talk.add([user("Joke?"), assistant("No.")])
    talk.branch("again", at={"position": 1})
    talk.add([assistant("Knock.")])
    assert rows(store) == [(2, "fork", 1, 2, False, "No."), (2, "fork", 2, 2, True, "Knock.")]
    talk.switch("main")
    assert [row[4] for row in rows(store)] == [True, False]


def test_a_fork_without_items_is_no_alternative_yet(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("Joke?"), assistant("No.")])
    talk.branch("again", at={"position": 1})
    assert rows(store) == []


def test_a_conversation_opened_by_the_assistant(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([assistant("Hello."), user("Go away."), assistant("Bye.")])
    talk.pop()
    talk.pop()
    talk.add([user("Come here.")])
    assert rows(store) == [
        (2, "edit", 1, 2, False, "Go away."),
        (2, "edit", 2, 2, True, "Come here."),
    ]


def test_a_compaction_is_shown_only_when_asked_for(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.replace_all([user("Summary.")])
    compactions = [(1, "compact", 1, 2, False, "one"), (1, "compact", 2, 2, True, "Summary.")]
    assert rows(store) == []
    assert rows(store, include_compactions=True) == compactions
    assert rows(store, kind="compact") == compactions


def test_kind(store: Store) -> None:
    edited(store)
    store.conversation("s").pop()
    store.conversation("s").add([assistant("four")])
    assert [row[5] for row in rows(store, kind="edit")] == ["2 + 3?", "2 + 2?"]
    assert [row[5] for row in rows(store, kind="regenerate")] == ["4", "four"]
    assert rows(store, kind="no such kind") == []


def test_since_and_until(store: Store) -> None:
    """An alternative counts at the moment it was begun: since includes it, until leaves it out."""
    edited(store)
    first, second = store.query("edit_points")["created_at"].to_list()
    assert first < second
    assert [row[5] for row in rows(store, since=second)] == ["2 + 2?"]
    assert [row[5] for row in rows(store, until=second)] == ["2 + 3?"]
    assert rows(store, since=first, until=first) == []


def test_sessions_and_row_limit(store: Store) -> None:
    """Sessions come in the order of their ids; an unknown one has no rows."""
    edited(store, "b")
    edited(store, "a")
    frame = store.query("edit_points", row_limit=3)
    assert frame.select("session_id", "rank").rows() == [("a", 1), ("a", 2), ("b", 1)]
    assert set(store.query("edit_points", session_id="b")["session_id"]) == {"b"}
    assert rows(store, session_id="no such session") == []
