"""The shape of the store: tables, relations, version.

The tables are duckstore's own; the relations are the contract with users and queries. Views are
made anew whenever a store is opened for writing by a newer duckstore, so that only a change of
the tables needs a migration.
"""

from __future__ import annotations

from importlib import resources

__all__ = ["OPEN_END", "RELATIONS", "SCHEMA_VERSION", "TABLES", "relations_sql", "tables_sql"]

SCHEMA_VERSION = 2
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
    "branches",
    "branch_items",
    "history",
    "edit_points",
)
"""The relations that users and queries read, in the order of the README."""

TABLES = (
    "session_rows",
    "item_rows",
    "response_rows",
    "branch_rows",
    "lineage_rows",
    "move_rows",
    "request_rows",
)
"""The tables that hold a session's rows."""


def tables_sql() -> str:
    """The statements that make the tables of a new store."""
    return resources.files("duckstore").joinpath("tables.sql").read_text(encoding="utf-8")


def migration_sql(version: int) -> str:
    """The statements that turn the tables of that version into those of the next."""
    return _MIGRATIONS[version]


_MIGRATIONS = {
    1: """
        create table request_rows (
            client_id varchar not null,
            request_number bigint not null,
            session_key bigint,
            answer varchar not null,
            created_at timestamptz not null,
        );
        insert into store_meta values ('folded', '0');
    """,
}


def relations_sql() -> str:
    """The statements that make or replace the relations."""
    return resources.files("duckstore").joinpath("relations.sql").read_text(encoding="utf-8")
