"""usage_by_agent: what each agent used, took and cost, by model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}


def used(tokens: int, model: str | None, **more: object) -> SeenResponse:
    usage = Usage(1, tokens, tokens // 10, 0, 0, 0, tokens + tokens // 10)
    return SeenResponse(usage=usage, model=model, **more)  # type: ignore[arg-type]


def fill(store: Store) -> None:
    """Two agents, one of which is the other's tool, and a model call that failed."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("ask", "a"), output("a")],
        Seen(
            agent_name="Outer",
            response=used(1000, "large", started_us=0, ended_us=3_000_000),
            calls=[SeenCall("a", started_us=0, ended_us=2_000_000, is_item=True)],
            responses=[
                used(100, "small", agent_name="Inner", parent=0, started_us=0, ended_us=1_000_000),
                SeenResponse(agent_name="Inner", model="small", error_type="Timeout", parent=0),
            ],
        ),
    )
    talk.add([assistant("done")], Seen(agent_name="Outer", response=used(2000, "large")))


def rows(store: Store, **parameters: object) -> list[tuple[object, ...]]:
    return (
        store.query("usage_by_agent", **parameters)
        .select(
            "agent_name",
            "model",
            "currency",
            "response_count",
            "error_count",
            "total_tokens",
            "total_cost",
            "total_seconds",
        )
        .rows()
    )


def test_agents_by_model(store: Store) -> None:
    """Tokens, time and cost are the agent's own, also where it was another's tool."""
    fill(store)
    store.set_prices(
        [
            {"model": "large", "input_price": 2, "output_price": 10},
            {"model": "small", "input_price": 1, "output_price": 1},
        ]
    )
    assert rows(store) == [
        ("Outer", "large", "USD", 2, 0, 3300, 9000, 3.0),
        ("Inner", "small", "USD", 2, 1, 110, 110, 1.0),
    ]


def test_what_is_not_known_is_null(store: Store) -> None:
    """No price, no time, no agent: no zero."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([assistant("done")], Seen(response=used(100, None)))
    assert rows(store) == [(None, None, None, 1, 0, 110, None, None)]


def test_only_some(store: Store) -> None:
    fill(store)
    store.conversation("other").add([user("go"), assistant("done")])
    assert [row[0] for row in rows(store, agent_name="Inner")] == ["Inner"]
    assert len(rows(store, session_id="other")) == 1
    assert rows(store, since=datetime(2999, 1, 1, tzinfo=UTC)) == []
    assert rows(store, until=datetime(1960, 1, 1, tzinfo=UTC)) == []
    store.conversation("s").rewind(1)
    assert rows(store, include_superseded=False, session_id="s") == []
    assert len(rows(store, row_limit=1)) == 1
    assert [row[0] for row in rows(store, model="small")] == ["Inner"]
