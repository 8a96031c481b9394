"""edit_text_changes: how the words of a message changed when it was edited."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.samples import assistant, call, user

Row = tuple[Any, ...]
SAMPLES: dict[str, list[Any]] = {"compared_chars": [10, 0, "5", -1, 2**62, None]}


def fill(store: Store) -> None:
    """A question in three wordings."""
    edited(store, "edit_text_changes", "2 + 3?", "2 + 2?", "What is 2 + 2?")


def edited(store: Store, name: str, *texts: str) -> None:
    talk = store.conversation(name)
    talk.add([user(texts[0])])
    for text in texts[1:]:
        talk.edit(1, text)


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The texts, how far they are apart, and how much longer the new one is."""
    return (
        store.query("edit_text_changes", **parameters)
        .select("before_text", "after_text", "distance", "length_change_chars")
        .rows()
    )


def texts(store: Store, **parameters: Any) -> list[Row]:
    return [row[:2] for row in rows(store, **parameters)]


def test_each_wording_stands_beside_the_one_before_it(store: Store) -> None:
    """The distance is of the length of the longer text, from either side."""
    edited(store, "s", "abcd", "abcx", "abcx and more", "x")
    assert rows(store) == [
        ("abcd", "abcx", 0.25, 0),
        ("abcx", "abcx and more", 9 / 13, 9),
        ("abcx and more", "x", 12 / 13, -12),
    ]
    frame = store.query("edit_text_changes")
    assert frame.select("rank", "kind", "role", "turn_number", "is_current", "is_cut").rows() == [
        (2, "edit", "user", 1, False, False),
        (3, "edit", "user", 1, False, False),
        (4, "edit", "user", 1, True, False),
    ]
    assert frame["before_item_id"].to_list()[1:] == frame["after_item_id"].to_list()[:2]


def test_the_same_words_and_quite_other_ones(store: Store) -> None:
    edited(store, "s", "abc", "abc", "xyz", "äöü", "äo")
    assert [row[2] for row in rows(store)] == [0.0, 1.0, 1.0, 2 / 3]


def test_only_the_beginnings_of_long_texts_are_compared(store: Store) -> None:
    """1,000 characters of each, or as many as asked for; what has more is said to be cut."""
    start = "a" * 999
    edited(store, "s", start + "b", start + "c", start + "cde", start + "cxy")
    frame = store.query("edit_text_changes")
    assert frame["distance"].to_list() == [0.001, 0.0, 0.0]
    assert frame["is_cut"].to_list() == [False, True, True]
    frame = store.query("edit_text_changes", compared_chars=None)
    assert frame["distance"].to_list() == [0.001, 2 / 1002, 2 / 1002]
    assert frame["is_cut"].to_list() == [False] * 3
    frame = store.query("edit_text_changes", compared_chars=999)
    assert frame["distance"].to_list() == [0.0, 0.0, 0.0]
    assert frame["length_change_chars"].to_list() == [0, 2, 0]
    assert frame["is_cut"].to_list() == [True] * 3


def test_a_short_text_and_a_cut_one(store: Store) -> None:
    """The distance of the beginnings is of what was compared."""
    edited(store, "s", "ab", "abcdefgh")
    assert rows(store, compared_chars=4) == [("ab", "abcdefgh", 0.5, 6)]


def test_a_message_without_words(store: Store) -> None:
    """It is as one of no length."""
    edited(store, "s", "", "abc")
    talk = store.conversation("s")
    talk.edit(1, "")
    talk.edit(1, "")
    assert rows(store) == [
        (None, "abc", 1.0, 3),
        ("abc", None, 1.0, -3),
        (None, None, 0.0, 0),
    ]


def test_regenerations_only_when_asked_for(store: Store) -> None:
    """An assistant's message that is edited is one of them, by its kind; forks are the third."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.regenerate()
    talk.add([assistant("2")])
    talk.edit({"item_id": store.sql("select max(item_id) from items").item()}, "3")
    talk.edit(1, "two")
    talk.branch("other", at={"position": 0})
    talk.add([user("three")])
    again = [("1", "2"), ("2", "3")]
    assert texts(store) == [("one", "two")]
    assert texts(store, kind="regenerate") == again
    assert texts(store, kind="fork") == [("two", "three")]
    assert texts(store, kind=None) == [("one", "two"), ("two", "three"), *again]
    assert (
        store.query("edit_text_changes", kind="regenerate")["role"].to_list() == ["assistant"] * 2
    )


def test_a_question_in_the_place_of_an_answer_is_no_other_wording(store: Store) -> None:
    """It is compared with the question that stood there before, if there was one."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.pop()
    talk.add([user("first")])
    talk.pop()
    talk.add([assistant("b")])
    talk.pop()
    talk.add([user("second")])
    assert texts(store, kind=None) == [("a", "b"), ("first", "second")]


def test_calls_are_no_messages(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1")])
    for name in ("sort", "ask"):
        talk.regenerate()
        talk.add([call(name, "1")])
    assert texts(store, kind=None) == []


def test_a_compaction_is_no_wording(store: Store) -> None:
    """Neither is it compared nor anything with it."""
    edited(store, "s", "one", "two")
    talk = store.conversation("s")
    talk.replace_all([user("Summary.")])
    assert texts(store, kind=None) == [("one", "two")]
    assert texts(store, kind="compact") == []
    talk.switch("main~2")
    talk.edit(1, "three")
    assert texts(store) == [("one", "two"), ("two", "three")]


def test_since_and_until(store: Store) -> None:
    """A message counts at the moment of its new wording, whatever the old one's."""
    edited(store, "s", "one", "two", "three")
    second, third = store.query("edit_text_changes")["created_at"].to_list()
    assert texts(store, since=third) == [("two", "three")]
    assert texts(store, until=third) == [("one", "two")]
    assert texts(store, since=second, until=third) == [("one", "two")]


def test_sessions_and_row_limit(store: Store) -> None:
    """In the order of sessions and of positions in them."""
    edited(store, "b", "one", "two")
    edited(store, "a", "three", "four")
    talk = store.conversation("a")
    talk.add([assistant("4"), user("five")])
    talk.edit(2, "six")
    assert texts(store) == [("three", "four"), ("five", "six"), ("one", "two")]
    assert texts(store, row_limit=2) == [("three", "four"), ("five", "six")]
    assert texts(store, session_id="b") == [("one", "two")]
    assert texts(store, session_id="no such session") == []
