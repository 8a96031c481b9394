"""The plot of what was used day by day."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from duckstore.plots.look import GREY, PALETTE, Plot, Row, altair_of, data_of, plain, tip

if TYPE_CHECKING:
    import altair

__all__ = ["USAGE_BY_DAY"]

OTHERS = "other models"
MOST_NAMED_DAYS = 45


def _usage_by_day(rows: list[Row]) -> altair.LayerChart | None:
    alt = altair_of()
    used = [row for row in rows if row["total_tokens"]]
    if not used:
        return None
    colours = _colours(used)
    points = [
        {
            "day": row["used_on"],
            "model": name,
            "colour": name if name in colours else OTHERS,
            "tokens": row["total_tokens"],
            "input_tokens": row["input_tokens"],
            "output_tokens": row["output_tokens"],
            "runs": row["run_count"],
            "sessions": row["session_count"],
            "cost": _cost(row),
        }
        for row in used
        for name in [_name(row)]
    ]
    bars = (
        alt.Chart(data_of(points))
        .mark_bar()
        .encode(
            x=_days(points),
            y=alt.Y("tokens:Q", title="tokens", axis=alt.Axis(format="~s")),
            color=alt.Color(
                "colour:N",
                title="model",
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            ),
            tooltip=tip(
                *("day:N", "model:N", "runs:Q", "sessions:Q", "cost:N"),
                tokens=",",
                input_tokens=",",
                output_tokens=",",
            ),
        )
    )
    chart: altair.LayerChart = alt.layer(bars).properties(width=480, height=260)
    return chart


def _days(points: list[Row]) -> Any:
    """The days: each named, those without responses too, where there is room for their names."""
    alt = altair_of()
    first, last = (date.fromisoformat(pick(p["day"] for p in points)) for pick in (min, max))
    count = (last - first).days + 1
    if count > MOST_NAMED_DAYS:
        axis = alt.Axis(format="%Y-%m-%d", labelAngle=-45)
        scale = alt.Scale(type="utc")
        unit = "utcyearmonthdate"
        return alt.X("day:T", title="day (UTC)", timeUnit=unit, scale=scale, axis=axis)
    # A single day is no wall: there is room for a week at least.
    names = [str(first + timedelta(days=number)) for number in range(count)]
    before = [str(first - timedelta(days=number)) for number in range(7 - count, 0, -1)]
    scale = alt.Scale(domain=before + names)
    return alt.X("day:O", title="day (UTC)", scale=scale, axis=alt.Axis(labelAngle=-45))


def _name(row: Row) -> str:
    return plain(row["model"] or "(model not known)")


def _colours(rows: list[Row]) -> dict[str, str]:
    """A colour for each of the models that used the most, and one for all others."""
    tokens: dict[str, int] = defaultdict(int)
    for row in rows:
        tokens[_name(row)] += row["total_tokens"]
    names = sorted(tokens, key=lambda name: (-tokens[name], name))
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    return {**dict(zip(names, PALETTE[:-1], strict=False)), OTHERS: GREY}


def _cost(row: Row) -> str:
    if row["total_cost"] is None:
        return "not known"
    text = f"{row['total_cost'] / 1_000_000:,.4f} {plain(row['currency'])}"
    return text + (
        f", without {row['unpriced_count']:,} responses" if row["unpriced_count"] else ""
    )


USAGE_BY_DAY = Plot(
    title="Tokens used day by day",
    subtitle="By model; days without responses are empty",
    nothing="Nothing to plot: no token usage is known yet.",
    columns=(
        *("used_on", "model", "currency", "total_tokens", "input_tokens", "output_tokens"),
        *("run_count", "session_count", "total_cost", "unpriced_count"),
    ),
    make=_usage_by_day,
    most_rows=1500,
)
