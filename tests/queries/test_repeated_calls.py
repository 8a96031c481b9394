"""repeated_calls: which calls were made more than once with equal arguments."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"across_runs": [True, "false"], "min_call_count": [1, "3"]}

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """One call that comes twice in a run, and one that comes in two runs."""
    talk = store.conversation("repeated_calls")
    talk.add([user("one"), *(each for n in "112" for each in asked(n)), assistant("1")])
    talk.add([user("two"), *(each for n in "3242" for each in asked(n)), assistant("2")])


def asked(number: str, text: str = "done", tool: str = "find") -> list[dict[str, Any]]:
    """A call with its output."""
    return [call(tool, number, f'{{"n": {number}}}'), output(number, text)]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Session, turn, tool, arguments, how often."""
    frame = store.query("repeated_calls", **parameters)
    return frame.select("session_id", "turn_number", "tool_name", "arguments", "call_count").rows()


def test_the_same_tool_with_equal_arguments_in_a_run(store: Store) -> None:
    """Not with others, not another tool with the same, and not in another run or session."""
    talk = store.conversation("s")
    talk.add([user("one"), *asked("1"), *asked("2"), *asked("1"), *asked("1", tool="look")])
    talk.add([user("two"), *asked("2"), assistant("done")])
    store.conversation("t").add([user("one"), *asked("2"), *asked("2"), *asked("2")])
    assert rows(store) == [("t", 1, "find", '{"n": 2}', 3), ("s", 1, "find", '{"n": 1}', 2)]
    assert rows(store, min_call_count=3) == [("t", 1, "find", '{"n": 2}', 3)]
    assert len(rows(store, min_call_count=1)) == 2


def test_across_the_runs_of_a_session(store: Store) -> None:
    """All of them together, and no run is named for them."""
    talk = store.conversation("s")
    talk.add([user("one"), *asked("1"), *asked("2"), *asked("1"), assistant("1")])
    talk.add([user("two"), *asked("1"), *asked("2"), assistant("2")])
    store.conversation("t").add([user("one"), *asked("1")])
    assert rows(store, across_runs=True) == [
        ("s", None, "find", '{"n": 1}', 3),
        ("s", None, "find", '{"n": 2}', 2),
    ]
    frame = store.query("repeated_calls", across_runs=True)
    assert frame.select("run_id", "run_count", "is_adjacent").rows() == [
        (None, 2, False),
        (None, 2, False),
    ]


def test_equal_arguments(store: Store) -> None:
    """The same JSON, whatever its spaces and keys' order; as a text where it is none."""
    groups = [
        ['{"a": {"x": 1, "y": [1, 2]}, "b": "\\u00e9"}', '{"b":"é","a":{"y":[1,2],"x":1}}'],
        ["{'a': 1", "{'a': 1"],
        ['{"a": [2, 1]}'],
        ['{"a": [1, 2]}'],
        ["{'a':  1"],
        ['{"a": 1}'],
        ['{"a": 1.0}'],
        ['{"a": "1"}'],
        ['{"A": 1}'],
        ['{"a": 1, "b": null}'],
        ['{"a": 1180591620717411303424}'],
        ['{"a": 1180591620717411303425}'],
        ["", ""],
    ]
    talk = store.conversation("s")
    talk.add([user("go")])
    for group in groups:
        talk.add([call("find", "c", each) for each in group])
    assert [row[3:] for row in rows(store)] == [
        (group[0], len(group)) for group in groups if len(group) > 1
    ]


def test_arguments_that_nobody_knows_are_not_equal(store: Store) -> None:
    talk = store.conversation("s")
    unknown = {"type": "function_call", "name": "find", "call_id": "c"}
    talk.add([user("go"), unknown, unknown])
    talk.add([assistant("hm")], Seen(calls=[SeenCall("x", arguments="{}", status="ok")]))
    talk.add([assistant("hm")], Seen(calls=[SeenCall("x", arguments="{}", status="ok")]))
    assert rows(store) == []


def test_outputs_failures_and_responses(store: Store) -> None:
    """How many outputs differ; one that is not there is none. How many responses made the calls."""
    talk = store.conversation("s")
    calls = [call("find", each) for each in "abcde"]
    talk.add([user("go"), *calls[:2], output("b", FAILED), output("a", "x")])
    talk.add([*calls[2:3], output("c", "x")])
    talk.add(calls[3:])
    frame = store.query("repeated_calls").select(
        "call_count", "distinct_output_count", "error_count", "response_count", "run_count"
    )
    assert frame.rows() == [(5, 2, 1, 3, 1)]


def test_calls_beside_each_other(store: Store) -> None:
    """Only where no call stands between, of the same tool or another; words do not count."""
    talk = store.conversation("s")
    talk.add([user("apart"), *asked("1"), *asked("2", tool="look"), *asked("1")])
    talk.add([user("beside"), *asked("1"), assistant("Hm."), *asked("1")])
    talk.add([user("some"), *asked("1"), *asked("2"), *asked("1"), *asked("1")])
    frame = store.query("repeated_calls").select("turn_number", "is_adjacent")
    assert sorted(frame.rows()) == [(1, False), (2, True), (3, True)]
    # The last of a run and the first of the next are not.
    assert store.query("repeated_calls", across_runs=True)["is_adjacent"].to_list() == [True]
    talk = store.conversation("t")
    talk.add([user("one"), *asked("1"), user("two"), *asked("1")])
    frame = store.query("repeated_calls", across_runs=True, session_id="t")
    assert frame["is_adjacent"].to_list() == [False]


def test_the_first_and_the_last(store: Store, clock: Clock) -> None:
    """Ids and times; a call id that comes twice is two calls."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for _ in range(3):
        talk.add(asked("7"))
        clock.wait(60)
    calls = store.sql("select id, created_at, run_id from tool_calls order by id").rows()
    frame = store.query("repeated_calls").select(
        *("first_call_id", "last_call_id", "first_called_at", "last_called_at", "run_id"),
        "is_superseded",
    )
    assert frame.rows() == [
        (calls[0][0], calls[2][0], calls[0][1], calls[2][1], calls[0][2], False)
    ]
    assert rows(store, since=calls[1][1]) == [("s", 1, "find", '{"n": 7}', 2)]
    assert rows(store, until=calls[2][1]) == [("s", 1, "find", '{"n": 7}', 2)]
    assert rows(store, since=calls[1][1], until=calls[2][1]) == []


def test_superseded_runs_stand_by_themselves(store: Store) -> None:
    """A call that an edit had made again is no repetition, in a run or in the session."""
    talk = store.conversation("s")
    talk.add([user("old"), *asked("1"), *asked("2"), *asked("2"), assistant("1")])
    talk.rewind(1)
    talk.add([user("new"), *asked("1"), *asked("2"), assistant("1")])
    old = ("s", 1, "find", '{"n": 2}', 2)
    assert rows(store) == [old]
    assert store.query("repeated_calls")["is_superseded"].to_list() == [True]
    assert rows(store, across_runs=True) == [old]
    assert rows(store, include_superseded=False) == []


def test_a_run_that_was_begun_over_in_its_middle(store: Store) -> None:
    """What it kept counts on the new path and, with what was replaced, on the old one."""
    talk = store.conversation("s")
    talk.add([user("go"), *asked("1"), *asked("2"), *asked("1"), assistant("old")])
    talk.rewind({"position": 5})
    talk.add([*asked("2"), assistant("new")])
    current = ("s", 1, "find", '{"n": 2}', 2)
    assert rows(store, include_superseded=False) == [current]
    assert rows(store) == [("s", 1, "find", '{"n": 1}', 2), current]
    frame = store.query("repeated_calls").select("is_superseded", "is_adjacent")
    assert frame.rows() == [(True, False), (False, True)]


def test_a_tree_of_tries(store: Store) -> None:
    """Each way that it went repeats what it had kept, of whatever run."""
    talk = store.conversation("s")
    talk.add([user("go"), *asked("1"), *asked("2"), assistant("1")])
    for number in ("1", "1", "3"):
        talk.rewind({"position": 3})
        talk.add([*asked(number), assistant("2")])
    talk.rewind({"position": 1})
    talk.add([assistant("3")])
    assert rows(store) == [("s", 1, "find", '{"n": 1}', 2)] * 2
    frame = store.query("repeated_calls").select("first_call_id", "last_call_id", "is_adjacent")
    assert frame["first_call_id"].n_unique() == 1
    assert frame["last_call_id"].is_sorted()
    assert frame["is_adjacent"].to_list() == [True, True]
    assert rows(store, across_runs=True) == rows(store)


def test_what_was_kept_is_told_once(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), *asked("1"), *asked("1"), *asked("2"), assistant("old")])
    talk.rewind({"position": 5})
    talk.add([assistant("new")])
    assert rows(store) == [("s", 1, "find", '{"n": 1}', 2)]


def test_an_agent_that_is_a_tool(store: Store) -> None:
    """Its calls are its own in a run, and the session's across runs."""
    inner = [
        SeenCall(each, tool_name="find", arguments='{"n":1}', status="ok", parent=0)
        for each in "xy"
    ]
    talk = store.conversation("s")
    talk.add([user("go"), *asked("1")])
    asking = [call("ask", "c"), output("c")]
    talk.add(asking, Seen(calls=[SeenCall("c", status="ok", is_item=True), *inner]))
    assert rows(store) == [("s", 1, "find", '{"n":1}', 2)]
    assert rows(store, across_runs=True) == [("s", None, "find", '{"n": 1}', 3)]


def test_only_some(store: Store) -> None:
    """The most called come first, then the earliest."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for agent in ("One", "One", "Two"):
        talk.add(asked("1"), Seen(agent_name=agent))
    store.conversation("t").add([user("go"), *asked("2", tool="look"), *asked("2", tool="look")])
    found = rows(store)
    assert found == [("s", 1, "find", '{"n": 1}', 3), ("t", 1, "look", '{"n": 2}', 2)]
    assert rows(store, agent_name="One") == [("s", 1, "find", '{"n": 1}', 2)]
    assert rows(store, agent_name="Two") == []
    assert rows(store, tool_name="look") == found[1:]
    assert rows(store, session_id="t") == found[1:]
    assert rows(store, row_limit=1) == found[:1]
