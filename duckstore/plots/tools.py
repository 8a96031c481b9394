"""Plots about tools: how often each is called, and what goes wrong in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from duckstore.plots.look import (
    BLUE,
    GREY,
    VERMILLION,
    VIOLET,
    Plot,
    Row,
    altair_of,
    counting_axis,
    data_of,
    plain,
    tip,
)

if TYPE_CHECKING:
    import altair

__all__ = ["TOOL_ERRORS", "TOOL_USAGE"]

STATUSES = {"ok": BLUE, "error": VERMILLION, "rejected": VIOLET, "pending": GREY}
BAR_STEP = 22
EXAMPLE_LENGTH = 200


def _tool_usage(rows: list[Row]) -> altair.LayerChart:
    alt = altair_of()
    names = _names(rows)
    parts = _parts(names, rows)
    bars = (
        alt.Chart(data_of(parts))
        .mark_bar()
        .encode(
            x=alt.X("calls:Q", title="calls", axis=counting_axis(rows[0]["call_count"])),
            y=alt.Y("tool:N", title="tool", sort=names),
            color=alt.Color(
                "status:N",
                title="status",
                scale=alt.Scale(domain=list(STATUSES), range=list(STATUSES.values())),
            ),
            order="order:Q",
            tooltip=tip(
                *("tool:N", "status:N", "calls:Q", "all_calls:Q", "sessions:Q"),
                error_share=".1%",
                p95_seconds=".3~f",
            ),
        )
    )
    chart: altair.LayerChart = alt.layer(bars).properties(width=480, height=alt.Step(BAR_STEP))
    return chart


def _parts(names: list[str], rows: list[Row]) -> list[Row]:
    """A part of a tool's bar for each way in which calls ended."""
    return [
        {
            "tool": name,
            "status": status,
            "calls": row[f"{status}_count"],
            "order": order,
            "all_calls": row["call_count"],
            "error_share": row["error_share"],
            "p95_seconds": row["p95_seconds"],
            "sessions": row["session_count"],
        }
        for name, row in zip(names, rows, strict=True)
        for order, status in enumerate(STATUSES)
        if row[f"{status}_count"]
    ]


def _names(rows: list[Row]) -> list[str]:
    """The tools' names, with the type where two have one name, so that each has a bar."""
    names = [plain(row["tool_name"] or "(no name)") for row in rows]
    counts = Counter(names)
    seen: Counter[str] = Counter()
    found = []
    for name, row in zip(names, rows, strict=True):
        if counts[name] > 1:
            name = f"{name} ({plain(row['tool_type'] or 'no type')})"
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return found


def _tool_errors(rows: list[Row]) -> altair.LayerChart:
    alt = altair_of()
    parts = [
        {
            "place": number,
            "tool": plain(row["tool_name"] or "(no name)", 40),
            "kind_of_error": plain(row["error_type"] or row["error_shape"] or "(no words)", 70),
            "errors": row["error_count"],
            "share_of_tool": row["error_share"],
            "runs": row["run_count"],
            "sessions": row["session_count"],
            "last_failed_at": plain(row["last_failed_at"]),
            "example": plain(row["example_error"] or "", EXAMPLE_LENGTH),
        }
        for number, row in enumerate(rows)
    ]
    for part in parts:
        part["error"] = f"{part['tool']}: {part['kind_of_error']}"
    # Two kinds may read alike, so a bar is told by its place; its words stand above it.
    y = alt.Y("place:O", title="error", axis=alt.Axis(labels=False, ticks=False))
    base = alt.Chart(data_of(parts)).encode(y=y)
    bars = base.mark_bar(color=VERMILLION, height=8, yOffset=7).encode(
        x=alt.X("errors:Q", title="errors", axis=counting_axis(rows[0]["error_count"])),
        tooltip=tip(
            *("tool:N", "kind_of_error:N", "errors:Q", "runs:Q", "sessions:Q"),
            *("last_failed_at:N", "example:N"),
            share_of_tool=".1%",
        ),
    )
    words = base.mark_text(align="left", dy=-5, limit=470).encode(x=alt.value(2), text="error:N")
    chart: altair.LayerChart = alt.layer(bars, words).properties(width=480, height=alt.Step(34))
    return chart


TOOL_USAGE = Plot(
    title="Calls of each tool",
    subtitle="The most called first, by how the calls ended",
    nothing="Nothing to plot: no tool was called yet.",
    columns=(
        *("tool_name", "tool_type", "call_count", "session_count", "error_share", "p95_seconds"),
        *(f"{status}_count" for status in STATUSES),
    ),
    make=_tool_usage,
    most_rows=30,
)
TOOL_ERRORS = Plot(
    title="Errors of each tool",
    subtitle="By type of error, or by the shape of its text",
    nothing="Nothing to plot: no tool call failed.",
    columns=(
        *("tool_name", "error_type", "error_shape", "error_count", "error_share", "run_count"),
        *("session_count", "last_failed_at", "example_error"),
    ),
    make=_tool_errors,
    most_rows=25,
)
