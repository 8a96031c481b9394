"""tool_path_changes: which tools were called after an edit, and which had been before it."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]
SAMPLES: dict[str, list[Any]] = {"include_unchanged": [True, False]}


def fill(store: Store) -> None:
    """Sessions in which an edit brought a tool into play."""
    for number in range(12):
        edited(store, f"tool_path_changes {number}", [], ["find"])
    edited(store, "tool_path_changes", ["find"], ["find", "sort"])


def edited(store: Store, name: str, *paths: list[str]) -> None:
    """A question that is edited, with the tools that were called for each wording."""
    talk = store.conversation(name)
    talk.add([user("go")])
    for number, path in enumerate(paths):
        if number:
            talk.edit(1, "go!")
        add(talk, *path)
        talk.add([assistant("done")])


def add(talk: Any, *names: str, text: str = "done") -> None:
    for name in names:
        talk.add([call(name, "1"), output("1", text)])


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The paths, how often one was left for the other, and how many of their calls failed."""
    return (
        store.query("tool_path_changes", **parameters)
        .select(
            "before_tool_names",
            "after_tool_names",
            "change_count",
            "before_error_count",
            "after_error_count",
        )
        .rows()
    )


def test_paths_are_counted_in_pairs(store: Store) -> None:
    """The most frequent change is first; equal ones stand in the order of their paths."""
    edited(store, "a", [], ["find"], [])
    edited(store, "b", [], ["find"])
    edited(store, "c", ["find", "sort"], ["sort", "find"], ["sort", "find"])
    assert rows(store) == [
        ([], ["find"], 2, 0, 0),
        (["find"], [], 1, 0, 0),
        (["find", "sort"], ["sort", "find"], 1, 0, 0),
    ]
    assert store.query("tool_path_changes")["session_count"].to_list() == [2, 1, 1]
    same = (["sort", "find"], ["sort", "find"], 1, 0, 0)
    assert rows(store, include_unchanged=True) == [*rows(store), same]


def test_a_regeneration_changes_what_comes_after_it_only(store: Store) -> None:
    """Calls and errors before it are on both paths, and count on neither side."""
    talk = store.conversation("s")
    talk.add([user("go")])
    add(talk, "find", text=FAILED)
    add(talk, "sort", "sort", text=FAILED)
    talk.pop()
    talk.pop()
    talk.add([call("ask", "1"), output("1", FAILED), assistant("done")])
    talk.pop()
    talk.add([assistant("Done.")])
    assert rows(store) == [(["sort"], ["ask"], 1, 1, 1)]
    assert rows(store, include_unchanged=True) == [
        ([], [], 1, 0, 0),
        (["sort"], ["ask"], 1, 1, 1),
    ]


def test_failed_calls_stand_on_their_side(store: Store) -> None:
    """They are added up over the changes; a session counts once."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for failed, path in (
        (2, ["find", "find"]),
        (0, ["sort"]),
        (1, ["find", "find"]),
        (1, ["sort"]),
    ):
        if failed < 2:
            talk.edit(1, "go!")
        for number, name in enumerate(path):
            add(talk, name, text=FAILED if number < failed else "done")
    assert rows(store) == [
        (["find", "find"], ["sort"], 2, 3, 1),
        (["sort"], ["find", "find"], 1, 0, 1),
    ]
    assert store.query("tool_path_changes")["session_count"].to_list() == [1, 1]
    edited(store, "t", ["sort"], ["ask"])
    edited(store, "u", ["sort"], ["ask"])
    edited(store, "v", ["sort"], ["ask"])
    assert [row[2] for row in rows(store)] == [3, 2, 1]


def test_kinds(store: Store) -> None:
    """Edits and regenerations are counted by themselves; forks and compactions are neither."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("done")])
    talk.regenerate()
    add(talk, "find")
    edited(store, "t", [], ["find"])
    talk = store.conversation("u")
    talk.add([user("go"), assistant("done")])
    talk.branch("other", at={"position": 1})
    add(talk, "find")
    talk.replace_all([user("Summary.")])
    add(talk, "sort")
    frame = store.query("tool_path_changes", include_unchanged=True)
    assert frame.select("change_count", "edit_count", "regeneration_count").rows() == [(2, 1, 1)]


def test_a_question_in_the_place_of_an_answer_is_no_change_of_tools(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), assistant("done")])
    talk.pop()
    talk.add([user("Wait.")])
    add(talk, "find")
    assert rows(store, include_unchanged=True) == []


def test_what_was_copied_from_another_session_is_not_compared(store: Store) -> None:
    """Its calls were the other session's: that it has none here says nothing."""
    talk = store.conversation("s")
    talk.add([user("go")])
    add(talk, "find")
    copy = talk.fork("t")
    copy.edit(1, "go!")
    add(copy, "sort")
    assert rows(store, include_unchanged=True) == []
    copy.edit(1, "Go!")
    assert rows(store) == [(["sort"], [], 1, 0, 0)]


def test_tool_name_and_row_limit(store: Store) -> None:
    """Pairs with the tool on either path; the others of a run stay in it."""
    edited(store, "a", ["find", "sort"], ["ask"], [])
    assert rows(store, row_limit=1) == [(["ask"], [], 1, 0, 0)]
    assert rows(store, tool_name="sort") == [(["find", "sort"], ["ask"], 1, 0, 0)]
    assert len(rows(store, tool_name="ask")) == 2
    assert rows(store, tool_name="no such tool") == []


def test_sessions_and_moments(store: Store) -> None:
    """A change counts when its alternative was begun, whenever the one before it was."""
    edited(store, "a", ["find"], ["sort"])
    edited(store, "b", ["find"], ["ask"])
    moment = store.query("edit_points", session_id="b")["created_at"].to_list()[1]
    sort, ask = (["find"], ["sort"], 1, 0, 0), (["find"], ["ask"], 1, 0, 0)
    assert rows(store, session_id="a") == [sort]
    assert rows(store, session_id="no such session") == []
    assert rows(store, since=moment) == [ask]
    assert rows(store, until=moment) == [sort]
