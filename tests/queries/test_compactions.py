"""compactions: what each compaction replaced, and what it put there."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

COUNTS = (
    "item_count_before",
    "item_count_after",
    "kept_item_count",
    "replaced_item_count",
    "written_item_count",
)
SAID = ("replaced_turn_count", "replaced_chars", "written_chars")


def fill(store: Store) -> None:
    """A session that is compacted twice."""
    talk = store.conversation("compactions")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    replace_from(store, "compactions", 2, [user("Two.")])
    talk.add([user("three"), assistant("3")])
    talk.replace_all([user("Three.")])


def rows(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    return store.query("compactions", **parameters).select(columns).rows()


def replace_from(store: Store, name: str, start: int, items: list[Any], drop: int = 0) -> None:
    """Put items in the place of the path from an index on, and take some off its start."""
    talk = store.conversation(name)
    left = iter([True] * drop + [False])
    snapshot = talk.snapshot(100)
    assert talk.replace_suffix(snapshot, start, items, lambda _: next(left))


def used(tokens: int, **more: Any) -> Seen:
    response = SeenResponse(usage=Usage(1, tokens, 5, 0, 0, 0, tokens + 5), model="m")
    return Seen(agent_name="Guide", response=response, **more)


def test_the_whole_conversation(store: Store) -> None:
    """All runs are replaced by one item; texts of calls and outputs count as characters."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), call("count", "k"), output("k", "12"), assistant("2")])
    talk.replace_all([user("The user counts.")])
    talk.add([user("three"), assistant("3")])
    assert rows(store, *COUNTS) == [(6, 1, 0, 6, 1)]
    chars = len("one" + "1" + "two" + "count({})" + "12" + "2")
    assert rows(store, *SAID) == [(2, chars, len("The user counts."))]
    assert rows(store, "turn_number", "is_current") == [(2, True)]


def test_the_end_of_the_path(store: Store) -> None:
    """What stands before it is kept, and a run of which something was replaced counts."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("22"), user("three")])
    replace_from(store, "s", 3, [user("A"), user("B")])
    assert rows(store, *COUNTS, *SAID) == [(5, 5, 3, 2, 2, 2, len("22three"), 2)]


def test_one_after_the_other(store: Store) -> None:
    """The second replaces the summary of the first, which is no turn, and the next run; it goes on
    where the first is no longer current."""
    fill(store)
    assert rows(store, *COUNTS) == [(4, 3, 2, 2, 1), (5, 1, 0, 5, 1)]
    assert rows(store, *SAID) == [(1, 4, 4), (2, len("one1Two.three3"), 6)]
    assert rows(store, "turn_number", "is_current") == [(2, False), (3, True)]


def test_what_was_taken_back_before_is_not_replaced(store: Store) -> None:
    """The path before a compaction can be shorter than its branch, also where it was cut before
    the branch began."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    talk.edit(2, "three")
    talk.add([assistant("3")])
    talk.pop()
    talk.pop()
    talk.pop()
    talk.replace_all([user("S")])
    assert rows(store, *COUNTS, *SAID) == [(1, 1, 0, 1, 1, 1, len("one"), 1)]


def test_edits_before_it(store: Store) -> None:
    """What is replaced stands on several branches, and what the edits replaced is not among it."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2"), user("old")])
    talk.edit(3, "new")
    talk.add([assistant("answer")])
    talk.regenerate()
    talk.add([assistant("other")])
    replace_from(store, "s", 1, [user("S")])
    assert rows(store, *COUNTS) == [(6, 2, 1, 5, 1)]
    assert rows(store, *SAID) == [(3, len("1two2newother"), 1)]


def test_of_nothing_and_by_nothing(store: Store) -> None:
    """A compaction of an empty path replaces nothing; one that writes nothing has no characters."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.pop()
    talk.replace_all([user("S")])
    talk.replace_all([])
    assert rows(store, *COUNTS) == [(0, 1, 0, 0, 1), (1, 0, 0, 1, 0)]
    assert rows(store, *SAID) == [(0, None, 1), (0, 1, None)]


def test_what_is_not_known(store: Store) -> None:
    """An encrypted summary has no characters; where the start of the path was dropped as well,
    nothing is said of what was replaced but how many items it was."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    replace_from(store, "s", 3, [{"type": "compaction", "encrypted_content": "?"}], drop=1)
    assert rows(store, *COUNTS) == [(4, 3, 2, 2, 1)]
    assert rows(store, *SAID) == [(None, None, None)]
    replace_from(store, "s", 2, [])
    assert rows(store, *COUNTS)[1:] == [(3, 2, 2, 1, 0)]
    assert rows(store, *SAID)[1:] == [(None, None, None)]
    talk.replace_all([user("S")])
    assert rows(store, *COUNTS)[2:] == [(2, 1, 0, 2, 1)]
    assert rows(store, *SAID)[2:] == [(None, None, 1)]


def test_input_tokens(store: Store) -> None:
    """Those of the last model call before and of the first after; an agent that is a tool has a
    context of its own."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([call("ask", "a"), output("a")], used(100))
    inner = SeenResponse(usage=Usage(1, 7, 1, 0, 0, 0, 8), agent_name="Inner", parent=0)
    talk.add(
        [call("ask", "b"), output("b")],
        used(200, calls=[SeenCall("b", is_item=True)], responses=[inner]),
    )
    columns = ("input_tokens_before", "input_tokens_after")
    talk.replace_all([user("S")])
    assert rows(store, *columns) == [(200, None)]
    talk.add([user("two")])
    talk.add([call("ask", "c"), output("c")], used(50))
    talk.add([assistant("2")], used(60))
    assert rows(store, *columns) == [(200, 50)]


def test_only_some(store: Store, clock: Clock) -> None:
    """Compactions count at the moment they were made, in the order of sessions and time."""
    fill(store)
    clock.wait(60)
    later = clock.now
    talk = store.conversation("b")
    talk.add([user("one")])
    talk.replace_all([user("S")])
    columns = ("session_id", "item_count_before")
    assert rows(store, *columns) == [("b", 1), ("compactions", 4), ("compactions", 5)]
    assert rows(store, *columns, session_id="b") == [("b", 1)]
    assert rows(store, *columns, since=later) == [("b", 1)]
    assert rows(store, *columns, until=later) == [("compactions", 4), ("compactions", 5)]
    assert rows(store, *columns, row_limit=2) == [("b", 1), ("compactions", 4)]
    assert store.query("compactions", since=later)["created_at"].to_list() >= [later]
