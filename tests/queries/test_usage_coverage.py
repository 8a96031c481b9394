"""usage_coverage: which rows have what the items do not tell."""

from __future__ import annotations

from datetime import UTC, datetime

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenOutcome, SeenResponse
from duckstore.usage import Usage
from tests.samples import assistant, call, output, user


def known(store: Store, **parameters: object) -> dict[tuple[str, str], tuple[int, int]]:
    """Of how many rows something is known."""
    frame = store.query("usage_coverage", **parameters)
    return {(row[0], row[2]): (row[1], row[3]) for row in frame.rows()}


def test_what_is_known_is_counted(store: Store) -> None:
    """Each fact by itself, beside the number of rows that could have it."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add(
        [call("find", "a"), output("a")],
        Seen(
            agent_name="Desk",
            response=SeenResponse(usage=Usage(1, 10, 1, 0, 0, 0, 11), model="gpt-5"),
            calls=[
                SeenCall("a", started_us=1, ended_us=2, status_source="trace", is_item=True),
            ],
        ),
    )
    talk.add([assistant("done")])
    found = known(store)
    assert found["responses", "usage"] == (2, 1)
    assert found["responses", "model"] == (2, 1)
    assert found["responses", "times"] == (2, 0)
    assert found["tool_calls", "times"] == (1, 1)
    assert found["runs", "outcome"] == (1, 0)
    talk.add([user("two")])
    talk.add([assistant("two")], Seen(outcome=SeenOutcome("completed")))
    assert known(store)["runs", "outcome"] == (2, 1)


def test_shares(store: Store) -> None:
    """Of a relation without rows nothing is said."""
    store.conversation("s").add([user("go"), assistant("done")])
    frame = store.query("usage_coverage")
    assert set(frame["relation"]) == {"responses", "runs"}
    assert set(frame["known_share"]) == {0.0}
    assert store.query("usage_coverage", row_limit=1).height == 1


def test_only_a_session_or_a_time(store: Store) -> None:
    for name in ("a", "b"):
        store.conversation(name).add([user("go"), call("find", "1")])
    assert known(store, session_id="a")["tool_calls", "times"] == (1, 0)
    assert known(store, since=datetime(2999, 1, 1, tzinfo=UTC)) == {}
    assert known(store, until=datetime(2999, 1, 1, tzinfo=UTC))["runs", "usage"] == (2, 0)


def test_what_an_edit_replaced(store: Store) -> None:
    """It counts unless it is left out."""
    talk = store.conversation("s")
    talk.add([user("one"), call("find", "1"), output("1"), assistant("1")])
    talk.edit(1, "uno")
    talk.add([call("find", "2"), output("2")])
    assert {key[0]: row[0] for key, row in known(store).items()} == {
        "responses": 3,
        "tool_calls": 2,
        "runs": 2,
    }
    found = known(store, include_superseded=False)
    assert {key[0]: row[0] for key, row in found.items()} == {
        "responses": 1,
        "tool_calls": 1,
        "runs": 1,
    }
