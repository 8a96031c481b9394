"""What the demo shows: the agents' work as tables, Parquet, and polars."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from duckstore import errors
from duckstore.store import Store, open_store

if TYPE_CHECKING:
    import polars

    from duckstore.comparison import DiffItem

__all__ = ["run_demo"]

EDITED_SESSION = "delivery-question"


def run_demo(path: Path, folder: Path, *, console: Console | None = None) -> None:
    """Run the demo's agents into a new store and show what it tells.

    Args:
        path: The store to make.
        folder: Where the Parquet files go.
        console: Where to print; standard output by default.

    Raises:
        StorePathError: The file is there already, or cannot be made.
        MissingPackageError: The SDK or polars is not installed.
    """
    console = console or Console(width=None if Console().is_terminal else 100)
    try:
        import polars

        from duckstore.demo.desk import run_desk
    except ImportError as error:
        raise errors.MissingPackageError(
            f"the demo needs {error.name}, which is not installed: pip install 'duckstore[all]'"
        ) from error
    if path.exists():
        raise errors.StorePathError(
            f"{path} is there already, and the demo makes a new store: name another with --db"
        )
    with open_store(path) as store:
        console.print("Running a support desk of three agents in three conversations ...")
        asyncio.run(run_desk(store, EDITED_SESSION))
        _show_questions(console, store)
        _show_parquet(console, store, folder, polars)
    _show_next(console, path)


def _show_questions(console: Console, store: Store) -> None:
    _print(
        console,
        "Every user message with its answer (duckstore query turn_pairs)",
        store.query("turn_pairs"),
        ["session_id", "turn_number", "user_message", "assistant_message", "tool_names"],
    )
    _print(
        console,
        "Every tool (duckstore query tool_usage)",
        store.query("tool_usage"),
        ["tool_name", "call_count", "ok_count", "error_count", "error_share", "p95_seconds"],
    )
    _print(
        console,
        "What failed, in plain SQL (duckstore sql ...)",
        store.sql(
            "select agent_name, tool_name, arguments, error from tool_calls where error <> ''"
        ),
        ["agent_name", "tool_name", "arguments", "error"],
    )
    _print(
        console,
        "A question was edited (session.edit): both versions, and what each led to",
        store.sql(
            "select rank, text, assistant_message, tool_call_count, edit_points.is_current"
            " from edit_points inner join runs on runs.id = edit_points.run_id order by rank"
        ),
        ["rank", "text", "assistant_message", "tool_call_count", "is_current"],
    )
    _show_difference(console, store)
    _print(
        console,
        "Tokens, time, cost by agent (duckstore query usage_by_agent); costs in millionths of USD",
        store.query("usage_by_agent"),
        [
            *("agent_name", "model", "response_count", "total_tokens"),
            *("total_seconds", "total_cost"),
        ],
    )
    _print(
        console,
        "Time and cost by tool (duckstore query cost_by_tool): an agent can be one",
        store.query("cost_by_tool"),
        ["tool_name", "call_count", "total_seconds", "total_tokens", "total_cost"],
    )


def _show_difference(console: Console, store: Store) -> None:
    """The two ways that the edited conversation went, beside each other."""
    diff = store.conversation(EDITED_SESSION).diff("main~1", "main")
    table = _table(f"What the edit changed (duckstore diff {EDITED_SESSION} main~1 main)", console)
    for name in (f"{diff.left}, before", f"{diff.right}, after", "distance"):
        table.add_column(name, justify="right" if name == "distance" else "left")
    for row in diff.rows:
        sides = (_said(side) for side in (row.left, row.right))
        table.add_row(*sides, "" if row.distance is None else f"{row.distance:.2f}")
    console.print(table, highlight=False)
    console.print()


def _said(item: DiffItem | None) -> str:
    return f"{item.role or item.item_type}: {item.text}" if item is not None else ""


def _show_parquet(console: Console, store: Store, folder: Path, polars: Any) -> None:
    counts = store.export_parquet(folder).row_counts
    rows = sum(counts.values())
    console.print(f"Wrote {len(counts)} relations with {rows} rows as Parquet to {folder}.")
    calls = polars.scan_parquet(folder / "tool_calls")
    _print(
        console,
        "The same tool calls, read back with polars",
        calls.group_by("agent_name")
        .agg(
            polars.len().alias("call_count"),
            (polars.col("status") == "error").sum().alias("errors"),
        )
        .sort("agent_name")
        .collect(),
        ["agent_name", "call_count", "errors"],
    )


def _show_next(console: Console, path: Path) -> None:
    console.print(f"The store is {path}. Try next:", highlight=False)
    for command in (
        f"duckstore -d {path} show order-4711",
        f"duckstore -d {path} show {EDITED_SESSION} --tree",
        f"duckstore -d {path} query turn_pairs --include-superseded true --format markdown",
        f'duckstore -d {path} sql "select session_id, operation, created_at from history"',
        f"duckstore -d {path} check",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True)


def _print(console: Console, title: str, frame: polars.DataFrame, columns: list[str]) -> None:
    table = _table(title, console)
    for name in columns:
        table.add_column(name, justify="right" if frame.schema[name].is_numeric() else "left")
    for row in frame.select(columns).iter_rows():
        table.add_row(*(_cell(name, value) for name, value in zip(columns, row, strict=True)))
    console.print(table, highlight=False)
    console.print()


def _table(title: str, console: Console) -> Table:
    """A table, after its title was printed."""
    console.print()
    console.print(Text(title, style="bold"))
    return Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if name.endswith("_seconds") else f"{value:.2f}"
    return ", ".join(value) if isinstance(value, list) else str(value)
