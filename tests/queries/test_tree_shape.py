"""tree_shape: how far each conversation branched, and how much of it was left behind."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {"min_edit_point_count": [0, "2", None]}


def shape(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    """Columns of each session."""
    return store.query("tree_shape", **parameters).select(columns).rows()


def twice(store: Store, name: str) -> None:
    """The answer of run 2 is generated twice more, and then its question is edited."""
    talk = store.conversation(name)
    talk.add([user("one"), assistant("1"), user("two"), call("add", "c"), output("c")])
    talk.add([assistant("3")])
    for text in ("4", "2"):
        talk.pop()
        talk.add([assistant(text)])
    talk.edit(2, "2 + 2?")
    talk.add([assistant("4")])


def test_counts_of_a_session(store: Store) -> None:
    """Two edit points: one with three answers, one with two questions."""
    twice(store, "s")
    columns = ("branch_count", "edit_point_count", "alternative_count", "max_alternative_count")
    assert shape(store, *columns) == [(4, 2, 5, 3)]
    assert shape(store, "first_fork_position", "first_fork_turn_number") == [(2, 2)]
    assert shape(store, "item_count", "superseded_item_count", "superseded_share") == [
        (10, 6, 0.6),
    ]
    columns = ("deepest_item_count", "deepest_turn_count", "current_item_count")
    assert shape(store, *columns, "current_turn_count") == [(6, 2, 4, 2)]


def test_the_path_can_be_shorter_than_the_deepest(store: Store) -> None:
    """A branch by name that the session is not on is superseded as long as it is not."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    talk.branch("short", at={"position": 1})
    talk.add([assistant("one!")])
    columns = ("deepest_item_count", "deepest_turn_count", "current_item_count")
    columns = (*columns, "current_turn_count", "superseded_item_count", "first_fork_position")
    assert shape(store, *columns) == [(4, 2, 2, 1, 3, 1)]
    talk.switch("main")
    assert shape(store, *columns) == [(4, 2, 4, 2, 1, 1)]


def test_a_compaction_is_no_edit_point(store: Store) -> None:
    """What it replaced is archived; an edit beside what it kept counts as ever."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.replace_all([user("Summary.")])
    assert shape(store, "edit_point_count") == []
    columns = ("branch_count", "compaction_count", "edit_point_count", "first_fork_position")
    columns = (*columns, "archived_item_count", "superseded_item_count")
    assert shape(store, *columns, min_edit_point_count=0) == [(2, 1, 0, None, 2, 0)]
    talk.add([user("two"), assistant("2")])
    talk.edit(2, "three")
    assert shape(store, *columns) == [(3, 1, 1, 1, 2, 2)]


def test_what_was_taken_back_and_not_replaced_is_superseded(store: Store) -> None:
    """It makes no edit point; neither does a branch on which nothing was said yet."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two")])
    talk.pop()
    talk.branch("empty", at={"position": 1})
    columns = ("branch_count", "edit_point_count", "superseded_item_count", "current_item_count")
    assert shape(store, *columns, min_edit_point_count=0) == [(2, 0, 2, 1)]


def test_a_deleted_branch_is_not_listed(store: Store) -> None:
    """Its items are stored, and the edit point is there as before."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.branch("other", at={"position": 1})
    talk.add([assistant("one!")])
    talk.switch("main")
    talk.delete_branch("other")
    columns = ("branch_count", "edit_point_count", "item_count", "superseded_item_count")
    assert shape(store, *columns) == [(1, 1, 3, 1)]


def test_only_some(store: Store, clock: Clock) -> None:
    """Sessions count at the moment they began; those with most left behind come first."""
    twice(store, "a")
    store.conversation("straight").add([user("one"), assistant("1")])
    clock.wait(60)
    later = clock.now
    twice(store, "b")
    store.conversation("b").edit(1, "zero")
    columns = ("session_id", "edit_point_count")
    assert shape(store, *columns) == [("b", 3), ("a", 2)]
    assert shape(store, *columns, min_edit_point_count=3) == [("b", 3)]
    assert shape(store, *columns, min_edit_point_count=0)[2:] == [("straight", 0)]
    assert shape(store, *columns, session_id="a") == [("a", 2)]
    assert shape(store, *columns, since=later) == [("b", 3)]
    assert shape(store, *columns, until=later) == [("a", 2)]
    assert shape(store, *columns, row_limit=1) == [("b", 3)]
