"""Plots: the rows of a query of the catalogue, and how each column is seen.

A plot asks its query and nothing else, so that what it shows can be had as figures too, from a
store or an export. The rows lie in the chart, few as they are: DuckDB has counted and summed them,
and of more than a plot's `most_rows` only the first are drawn, which it says. altair is imported
when something is plotted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.plots.agents import HANDOFFS
from duckstore.plots.days import USAGE_BY_DAY
from duckstore.plots.look import Plot, altair_of, empty_chart, finished
from duckstore.plots.tools import TOOL_ERRORS, TOOL_USAGE
from duckstore.plots.trees import CONVERSATION_TREE
from duckstore.plots.turns import CONTEXT_GROWTH, TURN_DURATION
from duckstore.plots.writing import check_target, write_chart
from duckstore.queryfile import Query, bind
from duckstore.rows import Rows

if TYPE_CHECKING:
    import altair

__all__ = ["PLOTS", "check_target", "draw", "plot_of", "write_chart"]

PLOTS: Mapping[str, Plot] = {
    "context_growth": CONTEXT_GROWTH,
    "conversation_tree": CONVERSATION_TREE,
    "handoffs": HANDOFFS,
    "tool_errors": TOOL_ERRORS,
    "tool_usage": TOOL_USAGE,
    "turn_duration": TURN_DURATION,
    "usage_by_day": USAGE_BY_DAY,
}
"""The plots, by the names of their queries."""


def plot_of(name: str) -> Plot:
    """The plot of a query.

    Raises:
        ArgumentError: It has none; the message names those that have one.
    """
    if name not in PLOTS:
        raise errors.ArgumentError(
            f"the query {name!r} has no plot of its own: make one from its rows with "
            f"store.query({name!r}), or take one of {', '.join(PLOTS)}"
        )
    return PLOTS[name]


def draw(
    query: Query, parameters: Mapping[str, Any], ask: Callable[..., Rows]
) -> altair.LayerChart:
    """The chart of a query.

    Args:
        query: The query.
        parameters: Values of its parameters.
        ask: Runs a reading statement with parameters.

    Raises:
        ArgumentError: The query has no plot, or is the user's own and lacks a column.
        ParameterError: A parameter is missing, unknown or of the wrong type.
        MissingPackageError: altair is not installed.
    """
    plot = plot_of(query.name)
    altair_of()
    for name in plot.needs:
        if parameters.get(name) is None:
            raise errors.ParameterError(
                f"the plot of {query.name} draws one conversation: give its {name}"
            )
    given = dict(parameters)
    is_cut = given.get("row_limit") is None and "row_limit" in {p.name for p in query.parameters}
    if is_cut:
        given["row_limit"] = plot.most_rows + 1
    found = ask(query.sql, bind(query, given), is_foreign=query.is_own)
    missing = [column for column in plot.columns if column not in found.columns]
    if missing:
        raise errors.ArgumentError(
            f"your own query {query.name} has no column {missing[0]!r}, which its plot needs: "
            "give it the columns of the bundled one, or another name"
        )
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    notes = []
    if len(rows) > plot.most_rows:
        rows = rows[: plot.most_rows]
        notes.append(f"the first {plot.most_rows:,} rows of the query; narrow it by its parameters")
    chart = plot.make(rows) if rows else None
    if chart is None:
        return finished(empty_chart(plot.nothing), plot.title, [])
    return finished(chart, plot.title, [plot.subtitle, *notes])
