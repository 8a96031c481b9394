"""conversation_tree: every item of a conversation after the one that it follows."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"max_text_chars": [0, "3", None]}


def tree(store: Store, *columns: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Columns of each item."""
    return store.query("conversation_tree", **parameters).select(columns).rows()


def test_items_after_what_they_follow(store: Store) -> None:
    """The question is edited, and the answer to the new one is given twice."""
    talk = store.conversation("s")
    talk.add([user("2 + 3?"), assistant("6")])
    talk.edit(1, "2 + 2?")
    talk.add([assistant("5")])
    talk.pop()
    talk.add([assistant("4")])
    found = tree(store, "item_id", "parent_item_id", "text_start", "branch_name", "kind", "rank")
    names = {item_id: text for item_id, _, text, *_ in found}
    assert [(names.get(parent), *rest) for _, parent, *rest in found] == [
        (None, "2 + 3?", "main~1", "edit", 1),
        ("2 + 3?", "6", "main~1", None, None),
        (None, "2 + 2?", "main~2", "edit", 2),
        ("2 + 2?", "5", "main~2", "regenerate", 1),
        ("2 + 2?", "4", "main", "regenerate", 2),
    ]
    assert tree(store, "is_current", "position", "turn_number", "alternative_count") == [
        (False, 1, 1, 2),
        (False, 2, 1, None),
        (True, 1, 1, 2),
        (False, 2, 1, 2),
        (True, 2, 1, 2),
    ]


def test_what_a_compaction_replaced_is_archived(store: Store) -> None:
    """The summary is on the path, and what it stands for is not superseded."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.replace_all([user("Summary.")])
    columns = ("text_start", "is_current", "is_archived", "kind")
    assert tree(store, *columns) == [
        ("one", False, True, "compact"),
        ("1", False, True, None),
        ("Summary.", True, False, "compact"),
    ]


def test_sessions_texts_and_limits(store: Store) -> None:
    """One session of several, with texts of a length, as many items as wanted."""
    store.conversation("a").add([user("first")])
    store.conversation("b").add([user("second"), call("find", "c"), output("c", "found")])
    assert tree(store, "session_id", "tool_name", session_id="b") == [
        ("b", None),
        ("b", "find"),
        ("b", "find"),
    ]
    assert tree(store, "text_start", max_text_chars=3) == [("fir",), ("sec",), ("fin",), ("fou",)]
    store.conversation("a").add([user("x" * 500)])
    assert [len(text) for (text,) in tree(store, "text_start", session_id="a")] == [5, 200]
    assert len(tree(store, "text_start", session_id="a", max_text_chars=None)[1][0]) == 500
    assert tree(store, "text_start", row_limit=1) == [("first",)]
