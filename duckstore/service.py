"""Everything that can be asked of a store's owner, from inside its process or from another one.

Each function takes the engine and plain values, and gives plain values back, so that the server
can call it for a client just as a `Store` of the owner's own process does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duckstore.adoption import adopt
from duckstore.check import check_store
from duckstore.copying import backup_store, compact_store
from duckstore.engine import Engine
from duckstore.export import write_parquet
from duckstore.lookback import path_to, sides_of
from duckstore.macros import install, unpack
from duckstore.pricing import write_prices

__all__ = ["TASKS", "Tail", "tail"]


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a path as it is now."""

    item_ids: list[int]
    raws: list[str]
    is_complete: bool
    """Whether it reaches back to the start of the conversation."""


def tail(engine: Engine, session_id: str, limit: int | None) -> Tail:
    """The latest `limit` items of a session's path, or all, with their ids."""
    with engine.session(session_id) as state:
        path = state.path
        entries = path if limit is None else path[max(len(path) - limit, 0) :]
        return Tail(
            [entry.item_id for entry in entries],
            [entry.raw for entry in entries],
            len(entries) == len(path),
        )


def _check(engine: Engine) -> list[list[str | None]]:
    return [[f.rule, f.session_id, f.message] for f in check_store(engine)]


def _backup(engine: Engine, path: str) -> None:
    backup_store(engine, path)


def _compact(engine: Engine) -> list[int]:
    return list(compact_store(engine))


def _install_queries(engine: Engine, packed: list[dict[str, Any]]) -> None:
    engine.change(lambda cursor: install(cursor, unpack(packed)))


TASKS: dict[str, Callable[..., Any]] = {
    "check": _check,
    "write_parquet": write_parquet,
    "adopt": adopt,
    "backup": _backup,
    "compact": _compact,
    "path_to": path_to,
    "sides_of": sides_of,
    "write_prices": write_prices,
    "install_queries": _install_queries,
}
"""What may take long, by name: each takes the engine and JSON values and returns one."""
