"""tools_per_turn: how many tools are called in a turn."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.rich import FAILED, REJECTED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Numbers of calls with the turns that made so many, and how many have an answer."""
    frame = store.query("tools_per_turn", **parameters)
    return frame.select("tool_call_count", "run_count", "completed_count").rows()


def turn(store: Store, name: str, *texts: str) -> None:
    """A turn with one call for each of these outputs, and an answer."""
    talk = store.conversation(name)
    talk.add([user("go")])
    for text in texts:
        talk.add([call("look", "c"), output("c", text)])
    talk.add([assistant("done")])


def test_the_distribution(store: Store) -> None:
    """Every turn is in one row, those without a call too; a repeated call id is two calls."""
    for texts in ((), (), ("a",), ("a", FAILED), ("a", FAILED, REJECTED)):
        turn(store, "s", *texts)
    store.conversation("t").add(
        [user("go"), output("nobody"), call("look", "1"), call("look", "2")]
    )
    store.conversation("u").add([user("hello?")])
    store.conversation("v").add([user("hello?")])
    assert store.query("tools_per_turn").rows() == [
        (0, 4, 2, None, 0.5, 0.5, 0.5),
        (1, 1, 1, 0.0, 0.125, 0.625, 1.0),
        (2, 2, 1, 0.5, 0.25, 0.875, 0.5),
        (3, 1, 1, 1 / 3, 0.125, 1.0, 1.0),
    ]


def test_an_answer_generated_again(store: Store) -> None:
    """The calls before it are those of the turn as it is now."""
    turn(store, "s", "a", "b")
    talk = store.conversation("s")
    talk.pop()
    talk.add([call("look", "d"), output("d"), assistant("better")])
    assert rows(store) == [(3, 1, 1)]
    assert rows(store, include_superseded=True) == [(0, 1, 0), (3, 1, 1)]


def test_a_compaction_in_the_middle_of_a_turn(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("look", "c"), output("c")])
    talk.replace_all([user("Summary.")])
    talk.add([call("look", "d"), output("d")])
    talk.add([assistant("done")])
    assert rows(store) == [(2, 1, 1)]


def test_an_edited_question(store: Store) -> None:
    turn(store, "s", "a", "b")
    store.conversation("s").rewind(1)
    turn(store, "s", "a")
    assert rows(store) == [(1, 1, 1)]
    assert rows(store, include_superseded=True) == [(1, 1, 1), (2, 1, 0)]


def test_parameters(store: Store) -> None:
    """since includes a turn that began at that moment, until leaves it out."""
    turn(store, "a")
    turn(store, "b", "1")
    turn(store, "a", "1", "2")
    second, third = store.query("turn_pairs").sort("created_at")["created_at"].to_list()[1:]
    assert rows(store, since=second) == [(1, 1, 1), (2, 1, 1)]
    assert rows(store, until=second) == [(0, 1, 1)]
    assert rows(store, since=second, until=third) == [(1, 1, 1)]
    assert rows(store, session_id="a") == [(0, 1, 1), (2, 1, 1)]
    assert rows(store, session_id="no such session") == []
    assert rows(store, row_limit=2) == [(0, 1, 1), (1, 1, 1)]
