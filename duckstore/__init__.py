"""The analytical session store for OpenAI Agents SDK agents, in one DuckDB file.

    session = duckstore.DuckDBSession("user_1", "chat.duckdb")     # a drop-in SDK session
    store = duckstore.open("chat.duckdb")                          # what it holds, in SQL
    store.query("turn_pairs")

Each name is imported when it is first used: the command line's help needs no DuckDB, and a notebook
that reads a store needs neither the SDK nor polars before it asks for a frame.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.errors import DuckstoreError

if TYPE_CHECKING:
    from duckstore.archive import Archive, open_parquet
    from duckstore.asking import QueryInfo
    from duckstore.comparison import BranchDiff, DiffItem, DiffRow
    from duckstore.listing import SessionInfo
    from duckstore.outline import Alternative, BranchInfo, Message
    from duckstore.recovering import recover_store as recover
    from duckstore.session import DuckDBSession
    from duckstore.store import Store
    from duckstore.store import open_store as open
    from duckstore.tracing import trace_to

__version__ = "0.6.0"

__all__ = [
    "Alternative",
    "Archive",
    "BranchDiff",
    "BranchInfo",
    "DiffItem",
    "DiffRow",
    "DuckDBSession",
    "DuckstoreError",
    "Message",
    "QueryInfo",
    "SessionInfo",
    "Store",
    "__version__",
    "errors",
    "open",
    "open_parquet",
    "recover",
    "trace_to",
]

_HOMES = {
    "Archive": ("duckstore.archive", "Archive"),
    "Alternative": ("duckstore.outline", "Alternative"),
    "BranchDiff": ("duckstore.comparison", "BranchDiff"),
    "BranchInfo": ("duckstore.outline", "BranchInfo"),
    "DiffItem": ("duckstore.comparison", "DiffItem"),
    "DiffRow": ("duckstore.comparison", "DiffRow"),
    "DuckDBSession": ("duckstore.session", "DuckDBSession"),
    "Message": ("duckstore.outline", "Message"),
    "QueryInfo": ("duckstore.asking", "QueryInfo"),
    "SessionInfo": ("duckstore.listing", "SessionInfo"),
    "Store": ("duckstore.store", "Store"),
    "open": ("duckstore.store", "open_store"),
    "open_parquet": ("duckstore.archive", "open_parquet"),
    "recover": ("duckstore.recovering", "recover_store"),
    "trace_to": ("duckstore.tracing", "trace_to"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
