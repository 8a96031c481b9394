"""What all plots look like, on white and on a dark ground alike.

The ground is see-through, and texts and lines are a grey of middle brightness. Each colour of a
mark has a contrast of 3 or more to white and to #111, and they stay apart for people who see red,
green or blue less: `tests/test_plots.py` computes both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.display import legible

if TYPE_CHECKING:
    import altair

__all__ = [
    *("BLUE", "GREY", "INK", "PALETTE", "TAN", "VERMILLION", "VIOLET"),
    *("Plot", "Row", "altair_of", "counting_axis", "data_of", "empty_chart", "finished"),
    *("grey_legend", "plain", "tip"),
]

BLUE = "#0072b2"
VERMILLION = "#d55e00"
TAN = "#b28262"
VIOLET = "#c24ce0"
GREY = "#808080"
PALETTE = (BLUE, VERMILLION, TAN, VIOLET, GREY)
"""In the order in which they are taken; grey is for what is left over."""

INK = "#7b7b7b"
"""Texts: a contrast above 4 to white and to #111."""
LINE = "#80808055"
TEXT_LENGTH = 60

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plot:
    """How the rows of one query are seen."""

    title: str
    subtitle: str
    nothing: str
    """What is said where there are no rows."""
    columns: tuple[str, ...]
    """What is taken from the query."""
    make: Callable[[list[Row]], altair.LayerChart | None]
    """Makes the chart; None where no row has anything to be seen."""
    most_rows: int
    """How many rows are drawn at most."""
    needs: tuple[str, ...] = ()
    """Parameters of the query that must be given."""


def altair_of() -> Any:
    """The package altair. Raises MissingPackageError where it is not installed."""
    try:
        import altair
    except ImportError as error:
        raise errors.MissingPackageError(
            f"{error.name} is needed for plots and is not installed: pip install 'duckstore[plots]'"
        ) from error
    return altair


def plain(text: Any, length: int = TEXT_LENGTH) -> str:
    """A text of the data on one line, as a chart may hold it.

    Charts become HTML in which their data stands inside a script, and neither altair nor vl-convert
    escapes what would end it there. So `</` and `<!` get a space between.
    """
    line = " ".join(legible(str(text)[: length * 4]).split())
    line = line if len(line) <= length else line[: length - 1] + "…"
    return line.replace("</", "< /").replace("<!", "< !")


def data_of(rows: Sequence[Row]) -> Any:
    """Rows as the data of a chart, inside of it."""
    return altair_of().Data(values=list(rows))


def tip(*columns: str, **formats: str) -> list[Any]:
    """A tooltip of columns, `name:type` each, and of those with a format."""
    alt = altair_of()
    fields = [(column, alt.Undefined) for column in columns]
    fields += [(f"{name}:Q", style) for name, style in formats.items()]
    return [
        alt.Tooltip(column, title=column.partition(":")[0].replace("_", " "), format=style)
        for column, style in fields
    ]


def counting_axis(most: int) -> Any:
    """An axis of whole numbers up to `most`: of few of them, no halves between."""
    alt = altair_of()
    return alt.Axis(format="~s", values=list(range(most + 1)) if most <= 10 else alt.Undefined)


def grey_legend(**settings: Any) -> Any:
    """A legend of sizes or shapes, whose marks are black otherwise."""
    return altair_of().Legend(symbolFillColor=INK, symbolStrokeColor=INK, **settings)


def empty_chart(text: str) -> altair.LayerChart:
    """A chart that says that there is nothing."""
    alt = altair_of()
    said = alt.Chart(data_of([{"text": text}])).mark_text(size=14).encode(text="text:N")
    chart: altair.LayerChart = alt.layer(said).properties(width=420, height=80)
    return chart


def finished(chart: altair.LayerChart, title: str, notes: Sequence[str]) -> altair.LayerChart:
    """The chart with its title and with the colours of all."""
    alt = altair_of()
    heading = alt.Title(title, subtitle=[note for note in notes if note])
    colours = {"labelColor": INK, "titleColor": INK}
    done: altair.LayerChart = (
        chart.properties(title=heading, background="transparent")
        .configure_view(stroke=None, fill=None)
        .configure_title(anchor="start", color=INK, subtitleColor=INK, offset=12)
        .configure_axis(**colours, gridColor=LINE, domainColor=INK, tickColor=INK, labelLimit=260)
        .configure_legend(**colours, labelLimit=260)
        .configure_header(**colours)
        .configure_text(color=INK)
    )
    return done
