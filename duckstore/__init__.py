"""The analytical session store for OpenAI Agents SDK agents, in one DuckDB file.

    session = duckstore.DuckDBSession("user_1", "chat.duckdb")     # a drop-in SDK session
    store = duckstore.open("chat.duckdb")                          # what it holds, in SQL
    store.query("turn_pairs")

Importing this module loads DuckDB and nothing heavier: the SDK, polars and pyarrow are imported
where they are first needed.
"""

from duckstore import errors
from duckstore.errors import DuckstoreError
from duckstore.listing import SessionInfo
from duckstore.session import DuckDBSession
from duckstore.store import QueryInfo, Store
from duckstore.store import open_store as open

__version__ = "0.1.0"

__all__ = [
    "DuckDBSession",
    "DuckstoreError",
    "QueryInfo",
    "SessionInfo",
    "Store",
    "__version__",
    "errors",
    "open",
]
