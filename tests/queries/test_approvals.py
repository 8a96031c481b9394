"""approvals: for which tools a person was asked, what was decided, and how long that took."""

from __future__ import annotations

from typing import Any

import pytest
from agents.testing import assistant_message, function_call

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import REJECTED
from tests.runs import agent, delete, go, step
from tests.samples import assistant, call, output, run, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """Two tools in three sessions: granted, refused and waiting."""
    for number in range(3):
        talk = store.conversation(f"approvals {number}")
        talk.add([user("go")])
        asks(store, talk.session_id, "a", "delete")
        decides(store, talk.session_id, "a", "refused" if number else "granted")
        asks(store, talk.session_id, "b", "send")


def asks(store: Store, session_id: str, call_id: str, tool_name: str) -> None:
    """A call that waits for a person."""
    seen = Seen(calls=[SeenCall(call_id, approval="asked", is_item=True)])
    store.conversation(session_id).add([call(tool_name, call_id)], seen)


def decides(
    store: Store, session_id: str, call_id: str, approval: str, decided_us: int | None = 1
) -> None:
    """What the person said, with the output that follows from it."""
    status = "rejected" if approval == "refused" else None
    known = SeenCall(call_id, approval=approval, decided_us=decided_us, status=status, is_item=True)
    store.conversation(session_id).add([output(call_id, "so be it")], Seen(calls=[known]))


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, calls, and how many were asked about, granted, refused, are waiting, were preset."""
    frame = store.query("approvals", **parameters)
    return frame.select(
        "tool_name",
        "call_count",
        "asked_count",
        "granted_count",
        "refused_count",
        "waiting_count",
        "preset_count",
    ).rows()


def test_what_people_decide(store: Store) -> None:
    """Of the calls of a tool, also those about which nobody is asked."""
    fill(store)
    store.conversation("other").add([user("go"), call("send", "1"), output("1"), call("find", "2")])
    assert rows(store) == [("delete", 3, 3, 1, 2, 0, 0), ("send", 4, 3, 0, 0, 3, 0)]
    frame = store.query("approvals")
    assert frame["asked_share"].to_list() == [1.0, 0.75]
    assert frame["refused_share"].to_list() == [2 / 3, None]


def test_seconds_until_it_was_decided(store: Store, clock: Clock) -> None:
    """From the call on; what waits has none."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for number, seconds in enumerate((10, 20, 40)):
        asks(store, "s", str(number), "delete")
        asked_us = round(clock.now.timestamp() * 1_000_000)
        clock.wait(60)
        decides(store, "s", str(number), "granted", asked_us + seconds * 1_000_000)
    asks(store, "s", "w", "delete")
    columns = ("p50_seconds", "p95_seconds", "max_seconds")
    ((median, most, longest),) = store.query("approvals").select(columns).rows()
    assert (round(median, 3), round(most, 3), round(longest, 3)) == (20, 38, 40)


def test_real_people(store: Store) -> None:
    """Granted, refused in words of one's own, and waiting; and granted for all calls to come."""

    async def talk() -> None:
        session = store.session("s")

        async def ask(*names: str) -> Any:
            calls = [
                step(number, function_call("delete", {"name": name}, call_id=name))
                for number, name in enumerate(names, start=1)
            ]
            keeper = agent("Keeper", *calls, step(9, assistant_message("Done.")), tools=[delete])
            return keeper, await go(keeper, "Delete", session, streamed=False)

        keeper, result = await ask("x", "y")
        state = result.to_state()
        state.approve(state.get_interruptions()[0], always_approve=True)
        await go(keeper, state, session, streamed=False)
        keeper, result = await ask("z")
        state = result.to_state()
        state.reject(state.get_interruptions()[0], rejection_message="Not today.")
        await go(keeper, state, session, streamed=False)
        _, result = await ask("w")
        assert store.record(result)

    run(talk())
    assert rows(store) == [("delete", 4, 3, 1, 1, 1, 1)]
    frame = store.query("approvals")
    assert frame["refused_completed_share"].to_list() == [1.0]
    assert 0 < frame["p50_seconds"][0] < frame["max_seconds"][0]
    assert rows(store, agent_name="Keeper") == rows(store)
    assert rows(store, agent_name="Desk") == []


def test_where_nobody_watched_refusals_show(store: Store) -> None:
    """By the SDK's words; that a call was granted, or waits, nobody can tell."""
    talk = store.conversation("s")
    talk.add([user("go"), call("delete", "1"), output("1", REJECTED)])
    talk.add([call("delete", "2"), output("2"), call("delete", "3")])
    assert rows(store) == [("delete", 3, 1, 0, 1, 0, 0)]
    assert store.query("approvals").select("refused_share", "max_seconds").rows() == [(1.0, None)]


def test_what_nobody_told_is_neither(store: Store) -> None:
    """A call that was asked about and answered where nobody watched; and one refused there."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for call_id in ("1", "2"):
        asks(store, "s", call_id, "delete")
    talk.add([output("1", "gone"), output("2", REJECTED)])
    assert rows(store) == [("delete", 2, 2, 0, 1, 0, 0)]


def test_refused_for_all_calls(store: Store) -> None:
    """A decision that was made before is none about this call."""
    talk = store.conversation("s")
    talk.add([user("go")])
    known = SeenCall("1", approval="refused", status="rejected", is_item=True)
    talk.add([call("delete", "1"), output("1", REJECTED)], Seen(calls=[known]))
    assert rows(store) == [("delete", 1, 0, 0, 0, 0, 1)]
    assert store.query("approvals")["refused_completed_share"].to_list() == [None]


def test_what_became_of_refused_calls(store: Store) -> None:
    """Whether their run was completed all the same; what is superseded says nothing of that."""

    def share() -> float | None:
        (found,) = store.query("approvals")["refused_completed_share"].to_list()
        return found

    for session_id in ("a", "b"):
        store.conversation(session_id).add([user("go")])
        asks(store, session_id, "1", "delete")
        decides(store, session_id, "1", "refused")
    assert share() == 0.0
    # Of a run that is completed only the call that was refused counts, not the other two.
    asks(store, "a", "2", "delete")
    decides(store, "a", "2", "granted")
    known = SeenCall("3", approval="refused", status="rejected", is_item=True)
    store.conversation("a").add([call("delete", "3"), output("3")], Seen(calls=[known]))
    store.conversation("a").add([assistant("I could delete one.")])
    assert share() == 0.5
    # A second one in the other run, that is then taken back.
    asks(store, "b", "2", "delete")
    decides(store, "b", "2", "refused")
    assert share() == pytest.approx(1 / 3)
    store.conversation("b").rewind({"position": 3})
    assert share() == 0.5
    # A run whose answer is given anew is superseded: it counts neither way.
    store.conversation("c").add([user("go")])
    asks(store, "c", "1", "delete")
    decides(store, "c", "1", "refused")
    store.conversation("c").add([assistant("I could not.")])
    assert share() == pytest.approx(2 / 3)
    store.conversation("a").pop()
    store.conversation("a").add([assistant("I could delete only one.")])
    assert share() == 0.5


def test_a_call_that_was_left_does_not_wait(store: Store) -> None:
    """Nobody will decide about one that an edit replaced; one that was compacted is still open."""
    store.conversation("s").add([user("go")])
    asks(store, "s", "1", "delete")
    store.conversation("s").rewind({"position": 1})
    asks(store, "s", "2", "delete")
    assert rows(store) == [("delete", 2, 2, 0, 0, 1, 0)]
    assert rows(store, include_superseded=False) == [("delete", 1, 1, 0, 0, 1, 0)]
    store.conversation("s").replace_all([user("summary")])
    assert rows(store, include_superseded=False) == [("delete", 1, 1, 0, 0, 1, 0)]


def test_only_some(store: Store, clock: Clock) -> None:
    store.conversation("s").add([user("go")])
    asks(store, "s", "1", "delete")
    asks(store, "s", "2", "delete")
    clock.wait(60)
    moment = clock.now
    asks(store, "s", "3", "send")
    deleted, sent = ("delete", 2, 2, 0, 0, 2, 0), ("send", 1, 1, 0, 0, 1, 0)
    assert rows(store) == [deleted, sent]
    assert rows(store, since=moment) == [sent]
    assert rows(store, until=moment) == [deleted]
    assert rows(store, tool_name="send") == [sent]
    assert rows(store, session_id="other") == []
    assert rows(store, row_limit=1) == [deleted]
