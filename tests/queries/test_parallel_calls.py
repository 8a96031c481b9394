"""parallel_calls: which tools are called at once, and what that saved."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.rich import FAILED, REJECTED, facts
from tests.samples import call, output, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """Two responses with the same two tools, one with three calls of them, and one with one."""
    for place, tools in enumerate(("fs", "sf", "fsf", "f")):
        talk = store.conversation(f"parallel_calls {place}")
        ids = [str(number) for number in range(len(tools))]
        talk.add([user("go"), *map(call, tools, ids), *map(output, ids)])


def timed(*stretches: tuple[float, float, float]) -> Seen:
    """Calls with ids 0, 1 ..: from second, to second, seconds beside another."""
    return Seen(
        calls=[
            SeenCall(
                str(number),
                started_us=round(start * 1e6),
                ended_us=round(end * 1e6),
                overlap_us=round(overlap * 1e6),
                is_item=True,
            )
            for number, (start, end, overlap) in enumerate(stretches)
        ]
    )


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Each set of tools, with how many calls at once, responses and calls."""
    frame = store.query("parallel_calls", **parameters)
    return frame.select("tool_names", "parallel_count", "response_count", "call_count").rows()


def seconds(store: Store, **parameters: Any) -> list[Row]:
    frame = store.query("parallel_calls", **parameters)
    return frame.select(
        *("response_count", "timed_response_count", "called_seconds", "elapsed_seconds"),
        *("saved_seconds", "overlap_share"),
    ).rows()


def test_sets_of_tools(store: Store) -> None:
    """A set whatever its order, for each number of calls; a single call is not parallel."""
    fill(store)
    both = ["f", "s"]
    assert rows(store) == [(both, 2, 2, 4), (both, 3, 1, 3)]
    assert rows(store, row_limit=1) == [(both, 2, 2, 4)]
    assert seconds(store) == [(2, 0, None, None, None, None), (1, 0, None, None, None, None)]


def test_errors(store: Store) -> None:
    """The share is that of the calls that have come to an end; a refusal is one, and no error."""
    talk = store.conversation("s")
    ids = [str(number) for number in range(5)]
    talk.add([user("go")])
    talk.add(
        [
            *(call("find", each) for each in ids),
            *(output("0", FAILED), output("1", REJECTED), output("2"), output("3")),
        ]
    )
    frame = store.query("parallel_calls")
    assert frame.select("call_count", "error_count", "error_share").rows() == [(5, 1, 0.25)]
    store.conversation("t").add([user("go"), call("wait", "0"), call("wait", "1")])
    assert store.query("parallel_calls")["error_share"].to_list() == [0.25, None]


def test_what_it_saved(store: Store) -> None:
    """Three calls of 4, 3 and 1 seconds, of which the second is inside the first, take 6 with the
    gap between them left out."""
    talk = store.conversation("s")
    talk.add([user("go")])
    calls = [call("find", "0"), call("find", "1"), call("find", "2")]
    outputs = [output(each) for each in "012"]
    talk.add([*calls, *outputs], timed((0, 4, 3), (1, 4, 3), (10, 11, 0)))
    assert seconds(store) == [(1, 1, 8.0, 5.0, 3.0, 0.75)]
    # One after the other: nothing is saved. The second by id runs first.
    talk.add([*calls, *outputs], timed((3, 4, 0), (0, 3, 0), (4, 6, 0)))
    assert seconds(store) == [(2, 2, 14.0, 11.0, 3.0, pytest.approx(6 / 14))]
    # One that is still running: the response cannot be compared.
    talk.add([*calls, *outputs[:2]], timed((0, 9, 9), (0, 9, 9)))
    assert seconds(store) == [(3, 2, 14.0, 11.0, 3.0, pytest.approx(6 / 14))]


def test_a_long_call_covers_all_that_begin_in_it(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    calls = [call("find", each) for each in "0123"]
    outputs = [output(each) for each in "0123"]
    stretches = timed((0, 10, 4), (1, 2, 1), (3, 4, 1), (8, 12, 2))
    talk.add([*calls, *outputs], stretches)
    assert seconds(store) == [(1, 1, 16.0, 12.0, 4.0, 0.5)]


def test_the_same_ids_in_two_responses_are_not_parallel(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "x"), output("x")])
    talk.add([call("find", "x"), output("x")])
    assert rows(store) == []


def test_superseded_responses(store: Store) -> None:
    """A response of which one call is on the path is whole; one without any is superseded."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "0"), call("sort", "1")])
    talk.pop()
    assert rows(store, include_superseded=False) == [(["find", "sort"], 2, 1, 2)]
    talk.pop()
    assert rows(store, include_superseded=False) == []
    assert rows(store) == [(["find", "sort"], 2, 1, 2)]


def test_only_some(store: Store) -> None:
    """A tool picks the sets that it is in, with all their calls."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "0"), call("sort", "1")], facts("Desk", 1, 1))
    talk.add([call("find", "0"), call("find", "1")], facts("Shop", 1, 1))
    moment = store.sql("select max(created_at) as at from tool_calls")["at"][0]
    store.conversation("t").add([user("go"), call("count", "0"), call("count", "1")])
    desk, shop, other = (["find", "sort"], 2, 1, 2), (["find"], 2, 1, 2), (["count"], 2, 1, 2)
    assert rows(store) == [other, shop, desk]
    assert rows(store, tool_name="sort") == [desk]
    assert rows(store, agent_name="Shop") == [shop]
    assert rows(store, session_id="t") == [other]
    assert rows(store, since=moment) == [other, shop]
    assert rows(store, until=moment) == [desk]
