"""The shape of the store: tables, relations, version.

The tables are duckstore's own; the relations are the contract with users and queries. Views are
made anew whenever a store is opened for writing by a newer duckstore, so that only a change of
the tables needs a migration.
"""

from __future__ import annotations

from importlib import resources

__all__ = [
    "OLDEST_TABLES",
    "OPEN_END",
    "RELATIONS",
    "SCHEMA_VERSION",
    "SEEN_TABLES",
    "STORE_TABLES",
    "TABLES",
    "relations_sql",
    "tables_sql",
]

SCHEMA_VERSION = 4
"""Version of the tables. A store with a higher one is refused."""

OPEN_END = 9_223_372_036_854_775_807
"""End position of a branch whose own items are all visible."""

RELATIONS = (
    "sessions",
    "runs",
    "items",
    "messages",
    "tool_calls",
    "responses",
    "outcomes",
    "guardrails",
    "prices",
    "costs",
    "branches",
    "branch_items",
    "history",
    "edit_points",
)
"""The relations that users and queries read, in the order of the README."""

SEEN_TABLES = ("response_rows", "call_rows", "outcome_rows", "guardrail_rows")
"""The tables of what was seen of a run, each row with the item that it belongs to."""

TABLES = (
    "session_rows",
    "item_rows",
    "response_rows",
    "call_rows",
    "outcome_rows",
    "guardrail_rows",
    "branch_rows",
    "lineage_rows",
    "move_rows",
    "request_rows",
)
"""The tables that hold a session's rows."""

OLDEST_TABLES = (
    "session_rows",
    "item_rows",
    "response_rows",
    "branch_rows",
    "lineage_rows",
    "move_rows",
)
"""Those that a store of any version has."""

STORE_TABLES = ("price_rows",)
"""The tables that belong to the store as a whole and to no session."""


def tables_sql() -> str:
    """The statements that make the tables of a new store."""
    return resources.files("duckstore").joinpath("tables.sql").read_text(encoding="utf-8")


def relations_sql() -> str:
    """The statements that make or replace the relations."""
    return resources.files("duckstore").joinpath("relations.sql").read_text(encoding="utf-8")
