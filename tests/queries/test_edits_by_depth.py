"""edits_by_depth: how deep in a conversation messages are edited."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Turn, runs, and how many of them were edited and answered again."""
    return (
        store.query("edits_by_depth", **parameters)
        .select("turn_number", "run_count", "edited_count", "regenerated_count")
        .rows()
    )


def test_runs_at_each_depth(store: Store) -> None:
    """Runs on all paths count; each wording but the last of its place was edited."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), assistant("2")])
    talk.edit(2, "two!")
    talk.add([assistant("2"), user("three"), assistant("3")])
    talk.edit(1, "one!")
    talk.edit(1, "one!!")
    store.conversation("t").add([user("one"), assistant("1")])
    assert store.query("edits_by_depth").rows() == [
        (1, 4, 2, 2, 0.5, 0, 0.0),
        (2, 2, 1, 1, 0.5, 0, 0.0),
        (3, 1, 1, 0, 0.0, 0, 0.0),
    ]


def test_an_answer_generated_again_is_no_run_of_its_own(store: Store) -> None:
    """However often and wherever in its run, the question was asked once."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), call("find", "1"), output("1"), assistant("a")])
    talk.pop()
    talk.add([assistant("b")])
    talk.regenerate()
    talk.add([assistant("c")])
    talk.add([user("three"), assistant("3")])
    assert rows(store) == [(1, 1, 0, 0), (2, 1, 0, 1), (3, 1, 0, 0)]


def test_an_input_of_several_messages(store: Store) -> None:
    """Whichever of them is edited, the run is; once, and so where two are."""
    talk = store.conversation("s")
    talk.add([user("one"), user("more"), assistant("1")])
    second = store.sql("select item_id from items where text = 'more'").item()
    talk.edit({"item_id": second}, "more!")
    talk.edit(1, "one!")
    assert rows(store)[0][:3] == (1, 2, 1)


def test_forks_and_compactions_are_no_edits(store: Store) -> None:
    """Nor is a question in the place of an answer one of that answer."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.branch("other", at={"position": 0})
    talk.add([user("two"), assistant("2")])
    talk.replace_all([user("Summary.")])
    talk.switch("main")
    talk.pop()
    talk.add([user("three")])
    assert rows(store) == [(1, 2, 0, 0), (2, 1, 0, 0)]


def test_a_question_after_an_answer_was_put_in_its_place(store: Store) -> None:
    """What was said in the place of a question is no other try at its answer."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), assistant("2")])
    talk.pop()
    talk.pop()
    talk.add([assistant("and more")])
    assert rows(store) == [(1, 1, 0, 0), (2, 1, 0, 0)]


def test_copies_are_another_sessions_runs(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    copy = talk.fork("t")
    copy.edit(1, "one!")
    copy.add([assistant("1"), user("two")])
    assert rows(store) == [(1, 2, 0, 0), (2, 1, 0, 0)]


def test_since_until_and_sessions(store: Store) -> None:
    """A run counts when it began, and as edited whenever that was."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.edit(1, "one!")
    moment = store.query("edit_points")["created_at"].to_list()[1]
    store.conversation("t").add([user("one"), assistant("1"), user("two")])
    assert rows(store, until=moment) == [(1, 1, 1, 0)]
    assert rows(store, since=moment) == [(1, 2, 0, 0), (2, 1, 0, 0)]
    assert rows(store, session_id="s") == [(1, 2, 1, 0)]
    assert rows(store, session_id="no such session") == []
    assert rows(store, row_limit=1) == [(1, 3, 1, 0)]
