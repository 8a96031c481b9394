"""Plots about turns: how long they take, and how their input grows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from duckstore.plots.look import (
    BLUE,
    VERMILLION,
    Plot,
    Row,
    altair_of,
    data_of,
    grey_legend,
    plain,
    tip,
)

if TYPE_CHECKING:
    import altair

__all__ = ["CONTEXT_GROWTH", "TURN_DURATION"]

MEASURES = {"duration": BLUE, "working": VERMILLION}
STATISTICS = {"p50": "circle", "p95": "square", "max": "triangle-right"}
LINES = {"p50": BLUE, "p95": VERMILLION}


def _turn_duration(rows: list[Row]) -> altair.LayerChart | None:
    alt = altair_of()
    points = _durations(rows)
    if not points:
        return None
    names = list(dict.fromkeys(point["status"] for point in points))
    base = alt.Chart(data_of(points)).encode(
        x=alt.X(
            "seconds:Q",
            title="seconds (logarithmic)",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format="~g", values=_steps([point["seconds"] for point in points])),
        ),
        y=alt.Y("status:N", title="run", sort=names),
        yOffset=alt.YOffset("measure:N", sort=list(MEASURES)),
        color=alt.Color(
            "measure:N",
            title="time",
            scale=alt.Scale(domain=list(MEASURES), range=list(MEASURES.values())),
        ),
    )
    lines = base.mark_line(strokeWidth=2).encode(detail=["status:N", "measure:N"])
    marks = base.mark_point(size=80, filled=True, opacity=1).encode(
        shape=alt.Shape(
            "statistic:N",
            title="of the runs",
            scale=alt.Scale(domain=list(STATISTICS), range=list(STATISTICS.values())),
            legend=grey_legend(),
        ),
        tooltip=tip("status:N", "measure:N", "statistic:N", "timed_runs:Q", seconds=".3~f"),
    )
    chart: altair.LayerChart = alt.layer(lines, marks).properties(width=480, height=alt.Step(22))
    return chart


def _durations(rows: list[Row]) -> list[Row]:
    """A point for each figure that is known; an axis of logarithms has no place for 0."""
    return [
        {
            "status": plain(f"{row['status']} ({row['run_count']:,})"),
            "measure": measure,
            "statistic": statistic,
            "seconds": row[f"{statistic}_{measure}_seconds"],
            "timed_runs": row["timed_count" if measure == "duration" else "working_known_count"],
        }
        for row in rows
        for measure in MEASURES
        for statistic in STATISTICS
        if (row[f"{statistic}_{measure}_seconds"] or 0) > 0
    ]


def _steps(values: list[float]) -> list[float]:
    """Round numbers for a logarithmic axis: few, however far the values are apart."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    parts = (1, 2, 5) if last - first <= 3 else (1,)
    return [part * 10.0**power for power in range(first, last + 1) for part in parts]


def _context_growth(rows: list[Row]) -> altair.LayerChart:
    alt = altair_of()
    points = [
        {
            "turn": row["turn_number"],
            "statistic": statistic,
            "input_tokens": row[f"{statistic}_input_tokens"],
            "max_input_tokens": row["max_input_tokens"],
            "p50_growth_tokens": row["p50_growth_tokens"],
            "sessions": row["session_count"],
            "responses": row["response_count"],
        }
        for row in rows
        for statistic in LINES
    ]
    base = alt.Chart(data_of(points)).encode(
        x=alt.X("turn:Q", title="turn", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("input_tokens:Q", title="input tokens of a request", axis=alt.Axis(format="~s")),
        color=alt.Color(
            "statistic:N",
            title="of the requests",
            scale=alt.Scale(domain=list(LINES), range=list(LINES.values())),
        ),
    )
    lines = base.mark_line(strokeWidth=2)
    marks = base.mark_point(size=40, filled=True, opacity=1).encode(
        # A turn that few sessions reached says little: its points are small.
        size=alt.Size(
            "sessions:Q",
            title="sessions",
            scale=alt.Scale(domainMin=0, range=[12, 140]),
            legend=grey_legend(tickMinStep=1, format="d"),
        ),
        tooltip=tip(
            *("turn:Q", "statistic:N", "sessions:Q", "responses:Q"),
            input_tokens=",.0f",
            max_input_tokens=",",
            p50_growth_tokens=",.0f",
        ),
    )
    chart: altair.LayerChart = alt.layer(lines, marks).properties(width=480, height=280)
    return chart


TURN_DURATION = Plot(
    title="How long turns take",
    subtitle="From the question to the end, and of it the time that the agent worked",
    nothing="Nothing to plot: no turn was timed yet.",
    columns=(
        *("status", "run_count", "timed_count", "working_known_count"),
        *(f"{s}_{m}_seconds" for m in MEASURES for s in STATISTICS),
    ),
    make=_turn_duration,
    most_rows=20,
)
CONTEXT_GROWTH = Plot(
    title="How the model's input grows from turn to turn",
    subtitle="Over all sessions that reached the turn",
    nothing="Nothing to plot: no token usage is known yet.",
    columns=(
        *("turn_number", "session_count", "response_count", "max_input_tokens"),
        "p50_growth_tokens",
        *(f"{statistic}_input_tokens" for statistic in LINES),
    ),
    make=_context_growth,
    most_rows=400,
)
