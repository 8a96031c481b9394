"""The plot of which agent hands over to which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckstore.plots.look import BLUE, Plot, Row, altair_of, data_of, plain, tip

if TYPE_CHECKING:
    import altair

__all__ = ["HANDOFFS"]

CELL_STEP = 64


def _handoffs(rows: list[Row]) -> altair.LayerChart:
    alt = altair_of()
    cells = [
        {
            "from_agent": plain(row["from_agent_name"] or "(not known)", 40),
            "to_agent": plain(row["to_agent_name"], 40),
            "handoffs": row["handoff_count"],
            "runs": row["run_count"],
            "sessions": row["session_count"],
            "completed_share": row["completed_share"],
            "median_seconds_to_answer": row["p50_answer_seconds"],
        }
        for row in rows
    ]
    base = alt.Chart(data_of(cells)).encode(
        x=alt.X(
            "to_agent:N",
            title="to agent",
            axis=alt.Axis(orient="top", labelAngle=-30, grid=True, labelAlign="left"),
        ),
        y=alt.Y("from_agent:N", title="from agent", axis=alt.Axis(grid=True)),
    )
    dots = base.mark_circle(color=BLUE, opacity=0.9).encode(
        size=alt.Size(
            "handoffs:Q",
            title="handoffs",
            scale=alt.Scale(domainMin=0, range=[0, 1100]),
            legend=None,
        ),
        tooltip=tip(
            *("from_agent:N", "to_agent:N", "handoffs:Q", "runs:Q", "sessions:Q"),
            completed_share=".0%",
            median_seconds_to_answer=".3~f",
        ),
    )
    counts = base.mark_text(dy=24, fontWeight="bold").encode(text="handoffs:Q")
    step = alt.Step(CELL_STEP)
    chart: altair.LayerChart = alt.layer(dots, counts).properties(width=step, height=step)
    return chart


HANDOFFS = Plot(
    title="Handoffs between agents",
    subtitle="A row hands over to a column; the area is how often",
    nothing="Nothing to plot: no agent handed over to another yet.",
    columns=(
        *("from_agent_name", "to_agent_name", "handoff_count", "run_count", "session_count"),
        *("completed_share", "p50_answer_seconds"),
    ),
    make=_handoffs,
    most_rows=150,
)
