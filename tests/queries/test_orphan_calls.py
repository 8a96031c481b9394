"""orphan_calls: calls without an output, and outputs that no call asked for."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from tests.rich import facts, reasoning
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {
    "kind": ["call_without_output", "output_without_call", "no such kind", None]
}


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Half, call id and tool of each orphan."""
    frame = store.query("orphan_calls", **parameters)
    return [
        (kind.split("_")[0], call_id, tool_name)
        for kind, call_id, tool_name in frame.select("kind", "call_id", "tool_name").rows()
    ]


def last(store: Store) -> list[tuple[str, bool]]:
    """Which orphans the session's path ends with."""
    return store.query("orphan_calls").select("call_id", "is_last_of_session").rows()


def test_both_halves(store: Store) -> None:
    """In the order of the items, with where they stand."""
    talk = store.conversation("s")
    talk.add([user("hi"), assistant("hello")])
    talk.add([user("go"), output("x", "lost")])
    talk.add([call("find", "y"), call("sort", "z"), output("y")], facts("Desk", 1, 1))
    frame = store.query("orphan_calls")
    ids = store.sql("select item_id, run_id, created_at from items order by item_id").rows()
    assert frame.columns == [
        *("session_id", "kind", "turn_number", "run_id", "item_id", "item_type", "call_id"),
        *("tool_name", "agent_name", "created_at", "has_superseded_output", "is_superseded"),
        "is_last_of_session",
    ]
    assert frame.rows() == [
        (
            *("s", "output_without_call", 2, ids[3][1], ids[3][0], "function_call_output"),
            *("x", None, None, ids[3][2], False, False, False),
        ),
        (
            *("s", "call_without_output", 2, ids[5][1], ids[5][0], "function_call"),
            *("z", "sort", "Desk", ids[5][2], False, False, True),
        ),
    ]


def test_repeated_call_ids(store: Store) -> None:
    """An output goes to the latest call before it that has none; a second output has no call."""
    store.conversation("s").add(
        [
            user("go"),
            *(output("x"), call("a", "x"), call("b", "x"), output("x")),
            *(call("c", "x"), output("x"), output("x"), output("x")),
        ]
    )
    assert rows(store) == [("output", "x", None), ("output", "x", None)]
    frame = store.query("orphan_calls").join(store.scan("items").collect(), on="item_id")
    assert frame["position"].to_list() == [2, 9]


@pytest.mark.parametrize(
    "kind",
    [
        *("function_call", "custom_tool_call", "computer_call", "local_shell_call"),
        *("shell_call", "apply_patch_call", "tool_search_call", "program"),
    ],
)
def test_every_type_of_call(store: Store, kind: str) -> None:
    """Each is listed alone, its output alone, and neither where both are there."""
    halves = (
        {"type": kind, "call_id": "x"},
        {
            "type": "tool_search_output" if kind == "tool_search_call" else f"{kind}_output",
            "call_id": "x",
            "output": "done",
        },
    )
    store.conversation("a").add([user("go"), halves[0]])
    store.conversation("b").add([user("go"), halves[1]])
    store.conversation("c").add([user("go"), *halves])
    frame = store.query("orphan_calls")
    assert frame.select("session_id", "kind", "item_type").rows() == [
        ("a", "call_without_output", kind),
        ("b", "output_without_call", halves[1]["type"]),
    ]


def test_calls_without_a_call_id(store: Store) -> None:
    """Tool searches are paired in order, a shell's output by its id, others not at all."""
    search = {"type": "tool_search_call", "arguments": {}}
    found = {"type": "tool_search_output", "tools": []}
    store.conversation("a").add([user("go"), search, search, found])
    store.conversation("b").add(
        [
            {"type": "local_shell_call", "call_id": "x", "id": "y"},
            {"type": "local_shell_call_output", "id": "x", "output": "done"},
        ]
    )
    store.conversation("c").add(
        [{"type": "function_call", "name": "f"}, {"type": "function_call_output", "output": "g"}]
    )
    assert rows(store) == [
        ("call", None, "tool_search"),
        ("call", None, "f"),
        ("output", None, None),
    ]
    frame = store.query("orphan_calls").join(store.scan("items").collect(), on="item_id")
    assert frame["position"].to_list()[0] == 3


def test_what_is_no_half(store: Store) -> None:
    """Tools that the provider runs, approvals, and types that nobody knows."""
    store.conversation("s").add(
        [
            user("go"),
            {"type": "web_search_call", "id": "w", "status": "in_progress"},
            {"type": "mcp_call", "id": "m", "name": "read", "arguments": "{}"},
            {"type": "mcp_approval_request", "id": "r", "name": "read", "arguments": "{}"},
            {"type": "mcp_approval_response", "approval_request_id": "q", "approve": True},
            {"type": "future_call", "call_id": "f"},
            {"type": "future_call_output", "call_id": "g", "output": "?"},
        ]
    )
    assert rows(store) == []


def test_a_popped_output_leaves_its_call_alone(store: Store) -> None:
    """A call on the path needs an output that stands there too."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1")])
    talk.pop()
    frame = store.query("orphan_calls")
    assert frame.select("has_superseded_output", "is_superseded", "is_last_of_session").rows() == [
        (True, False, True)
    ]
    talk.add([output("1", "again")])
    assert rows(store) == []
    talk.pop()
    talk.pop()
    assert rows(store) == []  # off the path it is whole


def test_superseded_halves(store: Store) -> None:
    """They are told from those on the path, and can be left out."""
    talk = store.conversation("s")
    talk.add([user("old"), call("a", "1"), output("2")])
    for _ in range(3):
        talk.pop()
    talk.add([user("new"), call("b", "3")])
    frame = store.query("orphan_calls").select("call_id", "is_superseded", "is_last_of_session")
    assert frame.rows() == [("1", True, False), ("2", True, False), ("3", False, True)]
    assert rows(store, include_superseded=False) == [("call", "3", "b")]


def test_another_branch_answers_it(store: Store) -> None:
    """A call before a fork has an output if the branch that the session is on has one."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1")])
    talk.branch("other")
    talk.add([output("1")])
    assert rows(store) == []
    talk.switch("main")
    assert rows(store) == [("call", "1", "find")]
    assert last(store) == [("1", True)]


def test_a_forked_session_lists_no_copies(store: Store) -> None:
    """What it was given is listed where it came from, and can be answered in the new one."""
    talk = store.conversation("a")
    talk.add([user("go"), output("lost"), call("find", "1"), call("sort", "2")])
    fork = talk.fork("b")
    fork.add([output("1"), output("3")])
    frame = store.query("orphan_calls").select("session_id", "call_id", "is_last_of_session")
    assert frame.rows() == [
        *(("a", "lost", False), ("a", "1", True), ("a", "2", True), ("b", "3", True))
    ]


def test_compactions(store: Store) -> None:
    """What was archived is still paired or not; what took its place is no half of anything."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "1"), output("1"), call("b", "2"), output("3")])
    talk.replace_all([user("Summary."), call("b", "2"), output("3")])
    assert rows(store) == [("call", "2", "b"), ("output", "3", None)]
    assert rows(store, include_superseded=False) == rows(store)
    assert last(store) == [("2", False), ("3", False)]
    talk.add([output("2")])
    assert rows(store) == [("call", "2", "b"), ("output", "3", None), ("output", "2", None)]


def test_what_the_session_ends_with(store: Store) -> None:
    """Calls of the last response, whatever outputs came; and outputs that nothing follows."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "0"), reasoning("hm"), output("x")])
    talk.add([call("a", "1"), reasoning("and"), call("b", "2"), assistant("wait"), output("2")])
    assert last(store) == [("0", False), ("x", False), ("1", True)]
    talk.add([output("y")])
    assert last(store) == [("0", False), ("x", False), ("1", True), ("y", True)]
    talk.add([user("?")])
    assert {is_last for _, is_last in last(store)} == {False}


def test_what_was_popped_does_not_follow(store: Store) -> None:
    """The end is that of the path; a popped call of the same response is not at it."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "1"), call("b", "2")])
    talk.pop()
    assert last(store) == [("1", True), ("2", False)]
    talk.add([assistant("done")])
    assert last(store) == [("1", False), ("2", False)]
    talk.pop()
    assert last(store) == [("1", True), ("2", False)]


def test_a_session_of_outputs_only(store: Store) -> None:
    store.conversation("s").add([output("x"), output("y")])
    assert last(store) == [("x", True), ("y", True)]


def test_only_some(store: Store) -> None:
    talk = store.conversation("b")
    talk.add([user("go")])
    talk.add([call("find", "1"), output("2")], facts("Desk", 1, 1))
    talk.add([call("sort", "3")], facts("Shop", 1, 1))
    moment = store.sql("select max(created_at) as at from items")["at"][0]
    store.conversation("a").add([user("go"), call("find", "4")])
    one, two, three = ("call", "1", "find"), ("output", "2", None), ("call", "3", "sort")
    four = ("call", "4", "find")
    assert rows(store) == [four, one, two, three]
    assert rows(store, session_id="b") == [one, two, three]
    assert rows(store, kind="output_without_call") == [two]
    assert rows(store, kind="call_without_output") == [four, one, three]
    assert rows(store, tool_name="find") == [four, one]
    assert rows(store, agent_name="Shop") == [three]
    assert rows(store, since=moment) == [four, three]
    assert rows(store, until=moment) == [one, two]
    assert rows(store, row_limit=2) == [four, one]
