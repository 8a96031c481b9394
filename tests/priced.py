"""Responses of known models, tokens and times, for what is asked of their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from duckstore import Store
from tests.samples import assistant, import_tree, user


@dataclass(frozen=True)
class Answer:
    """One response. Cached tokens are among those of the input."""

    model: str | None
    input_tokens: int = 1000
    output_tokens: int = 100
    read: int = 0
    created: int = 0
    at: datetime | None = None


def respond(store: Store, session_id: str, answers: Sequence[Answer]) -> None:
    """Add a session whose runs are these responses, all of one model."""
    models = {answer.model for answer in answers}
    assert len(models) == 1
    import_tree(
        store,
        session_id,
        [item for _ in answers for item in (user("?"), assistant("!"))],
        list(range(-1, 2 * len(answers) - 1)),
        meta={"models": [model for model in models if model is not None]},
        usage=[
            {
                "input_tokens": answer.input_tokens,
                "output_tokens": answer.output_tokens,
                "input_tokens_details": {
                    "cached_tokens": answer.read,
                    "cache_write_tokens": answer.created,
                },
            }
            for answer in answers
        ],
    )


def date_back(path: Path, answers: Sequence[Answer]) -> None:
    """Give the responses of a closed store, in the order of their ids, the times they have."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        heads = connection.execute(
            "select item_id from item_rows where response_id = item_id order by item_id"
        ).fetchall()
        assert len(heads) == len(answers)
        times = [(a.at, head) for a, (head,) in zip(answers, heads, strict=True) if a.at]
        connection.executemany(
            "update item_rows set created_at = ?::timestamptz where item_id = ?",
            [(at.isoformat(), head) for at, head in times],
        )
