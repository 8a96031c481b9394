"""tool_loops: where an agent calls the same tools in the same order again and again."""

from __future__ import annotations

import random
from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.queries.test_tool_transitions import done
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"min_repetition_count": [2, "4"]}

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """One loop of one tool, and one of two."""
    act(store, "tool_loops", "aaaa")
    act(store, "tool_loops", "abababa")


def act(store: Store, session_id: str, names: str) -> None:
    """One run that calls these tools, of one letter each, one after the other."""
    calls = [each for name in names for each in done(name)]
    store.conversation(session_id).add([user("go"), *calls, assistant("done")])


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The tools as one word, how often in a row, and how many calls that are."""
    frame = store.query("tool_loops", **parameters)
    return [
        ("".join(tools), *counts)
        for tools, *counts in frame.select("tools", "repetition_count", "call_count").iter_rows()
    ]


def test_loops_of_one_two_and_three_tools(store: Store) -> None:
    """As long as they go on; one that was begun again adds to its calls only."""
    act(store, "s", "xaaaay")
    act(store, "s", "abababa")
    act(store, "s", "zabcabcabcab")
    act(store, "s", "ababcc")
    assert rows(store) == [("a", 4, 4), ("abc", 3, 11), ("ab", 3, 7)]
    assert rows(store, min_repetition_count=4) == [("a", 4, 4)]
    assert rows(store, min_repetition_count=2) == [
        ("a", 4, 4),
        ("abc", 3, 11),
        ("ab", 3, 7),
        ("ab", 2, 4),
        ("c", 2, 2),
    ]


def test_a_loop_ends_with_its_run(store: Store) -> None:
    """Two calls in each of two runs are not four, nor are those of two sessions."""
    for session_id in "sst":
        act(store, session_id, "aa")
    assert rows(store) == []
    assert rows(store, min_repetition_count=2) == [("a", 2, 2)] * 3


def test_loops_as_a_plain_program_finds_them(store: Store) -> None:
    """Random calls of two and three tools: every stretch with a period, and no other."""
    chance = random.Random(7)
    texts = ["".join(chance.choices("abc"[: 2 + n % 2], k=12)) for n in range(30)]
    for text in texts:
        act(store, "s", text)
    expected = []
    for run, text in enumerate(texts):
        for period in (1, 2, 3):
            start = 0
            while start < len(text):
                end = start + period
                while end < len(text) and text[end] == text[end - period]:
                    end += 1
                is_same = period > 1 and len(set(text[start : start + period])) == 1
                if (end - start) // period >= 2 and not is_same:
                    expected.append((run + 1, text[start : start + period], end - start))
                start = max(start + 1, end - period + 1)
    frame = store.query("tool_loops", min_repetition_count=2)
    found = [
        (turn, "".join(tools), calls)
        for turn, tools, calls in frame.select("turn_number", "tools", "call_count").iter_rows()
    ]
    assert len(expected) > 50
    assert sorted(found) == sorted(expected)


def test_where_it_is_and_what_failed(store: Store, clock: Clock) -> None:
    """The first and the last call, the failed ones among them, and the responses."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("x", text=FAILED)])
    clock.wait(5)
    for text in (FAILED, "done", FAILED):
        talk.add([*done("a", text=text), *done("b")], Seen(agent_name="Desk"))
        clock.wait(5)
    talk.add(done("x", text=FAILED))
    calls = store.sql("select id, run_id, created_at from tool_calls order by id").rows()
    frame = store.query("tool_loops").select(
        *("session_id", "run_id", "turn_number", "is_superseded", "agent_name", "tools", "period"),
        *("response_count", "tool_error_count", "first_call_id", "last_call_id"),
        *("first_called_at", "last_called_at"),
    )
    assert frame.rows() == [
        (
            *("s", calls[0][1], 1, False, "Desk", ["a", "b"], 2),
            *(6, 2, calls[1][0], calls[6][0]),
            *(calls[1][2], calls[6][2]),
        )
    ]


def test_whether_the_arguments_were_equal(store: Store) -> None:
    """As JSON, whatever the order of keys; texts that are no JSON as texts; unknown ones not."""

    def equal(*arguments: str | None) -> list[bool | None]:
        talk = store.conversation(str(arguments))
        talk.add([user("go")])
        for text in arguments:
            item = {"type": "function_call", "name": "a", "call_id": "c"}
            talk.add([item if text is None else {**item, "arguments": text}, output("c")])
        frame = store.query("tool_loops", session_id=str(arguments))
        return frame["has_equal_arguments"].to_list()

    assert equal('{"x": 1, "y": {"a": 2, "b": 3}}', '{"y":{"b":3,"a":2},"x":1}', '{"x":1,') == [
        False
    ]
    assert equal('{"x": 1, "y": {"a": 2, "b": 3}}', '{"y":{"b":3,"a":2},"x":1}', '{"x":1}') == [
        False
    ]
    assert equal(*['{"x": [1, 2], "y": 3}', '{"y":3, "x":[1,2]}'] * 2) == [True]
    assert equal("{'x'", "{'x'", "{'x'") == [True]
    assert equal("{'x'", "{'x'", "{'x' ") == [False]
    assert equal("[1]", "[2]", "[1]") == [False]
    assert equal(None, None, None) == [None]


def test_arguments_are_those_of_the_repetition_before(store: Store) -> None:
    """In a loop of two tools each has its own."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for _ in range(3):
        talk.add([call("a", "1", '{"x":1}'), output("1"), call("b", "2", '{"x":2}'), output("2")])
    assert store.query("tool_loops")["has_equal_arguments"].to_list() == [True]


def test_calls_made_at_once_are_no_loop(store: Store) -> None:
    """Unless another response goes on with them."""
    talk = store.conversation("s")
    batch = [*(call("a", each) for each in "123"), *(output(each) for each in "123")]
    talk.add([user("go"), *batch, assistant("done")])
    assert rows(store) == []
    talk.add([user("go"), *batch])
    talk.add(batch)
    assert rows(store) == [("a", 6, 6)]
    assert store.query("tool_loops")["response_count"].to_list() == [2]


def test_no_known_tool_is_no_same_tool(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    for _ in range(4):
        talk.add([assistant("hm")], Seen(calls=[SeenCall("x", status="ok")]))
    assert rows(store) == []


def test_a_loop_that_was_cut_short(store: Store) -> None:
    """On its own path it goes on as far as it went; the new path has what it kept."""
    talk = store.conversation("s")
    talk.add([user("go"), *(each for _ in range(5) for each in done("a"))])
    talk.rewind({"position": 7})
    talk.add([*done("b"), assistant("done")])
    assert rows(store, include_superseded=False) == [("a", 3, 3)]
    assert rows(store) == [("a", 5, 5), ("a", 3, 3)]
    assert store.query("tool_loops")["is_superseded"].to_list() == [True, False]
    talk.rewind({"position": 7})
    talk.add([*done("a"), assistant("done")])
    assert rows(store, include_superseded=False) == [("a", 4, 4)]


def test_a_loop_over_a_tree_of_tries(store: Store) -> None:
    """Each way that it went goes on from what it had kept, and is a loop by itself."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("a"), *done("b"), *done("a"), *done("b"), assistant("1")])
    for _ in range(2):
        talk.rewind({"position": 7})
        talk.add([*done("b"), *done("a"), assistant("2")])
    talk.rewind({"position": 1})
    talk.add([assistant("3")])
    assert rows(store, min_repetition_count=2) == [("ab", 2, 5), ("ab", 2, 5), ("ab", 2, 4)]
    assert store.query("tool_loops", min_repetition_count=2)["run_id"].n_unique() == 3
    assert rows(store, min_repetition_count=2, include_superseded=False) == []


def test_a_loop_in_what_was_kept_is_told_once(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), *(each for name in "aaab" for each in done(name))])
    talk.rewind({"position": 7})
    talk.add([assistant("done")])
    assert rows(store) == [("a", 3, 3)]


def test_an_agent_that_is_a_tool(store: Store) -> None:
    """Its calls are a sequence of their own."""
    inner = [SeenCall(each, tool_name="look", status="error", parent=0) for each in "xyz"]
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(done("look"), Seen(calls=[SeenCall("c", status="ok", is_item=True), *inner]))
    talk.add(done("look"))
    assert rows(store) == [("look", 3, 3)]
    assert store.query("tool_loops")["tool_error_count"].to_list() == [3]


def test_only_some(store: Store) -> None:
    """A loop has the time and the agent of its first call; a filter makes none."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for name, agent in zip("aaabcbcbc", ("One", "Two", "Two", *["Two"] * 6), strict=True):
        talk.add(done(name), Seen(agent_name=agent))
    act(store, "t", "axaxa")
    assert rows(store) == [("bc", 3, 6), ("a", 3, 3)]
    begun = store.query("tool_loops")["first_called_at"].to_list()
    assert rows(store, agent_name="One") == [("a", 3, 3)]
    assert rows(store, tool_name="c") == [("bc", 3, 6)]
    assert rows(store, tool_name="a", session_id="t") == []
    assert rows(store, since=begun[0]) == [("bc", 3, 6)]
    assert rows(store, until=begun[0]) == [("a", 3, 3)]
    assert rows(store, session_id="t", min_repetition_count=2) == [("ax", 2, 5)]
    assert rows(store, row_limit=1) == [("bc", 3, 6)]
