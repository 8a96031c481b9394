"""What was measured, as one table of ratios and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median, quantiles

from tests.benchmarks.stores import ADVANCED, APPENDER, DUCKSTORE, FILE, SQLITE

__all__ = ["Report", "Row", "p99"]

REFERENCES = (SQLITE, ADVANCED, APPENDER, FILE)
NOTE = (
    "Ratios are duckstore / the other: below 1 duckstore is faster. Only they mean something;\n"
    "milliseconds are those of this machine at this moment. p50 / p99 of each."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was done, and the samples of each store, in `unit`."""

    part: str
    case: str
    samples: dict[str, list[float]]
    unit: str = "ms"

    def ratio(self, other: str) -> tuple[float, float] | None:
        """duckstore / other, at the median and at the 99th percentile."""
        own, reference = self.samples.get(DUCKSTORE), self.samples.get(other)
        if not own or not reference or not median(reference):
            return None
        return median(own) / median(reference), p99(own) / p99(reference)


@dataclass(slots=True)
class Report:
    """All rows of a run."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def text(self) -> str:
        """The table for people."""
        used = [name for name in REFERENCES if any(name in row.samples for row in self.rows)]
        head = ["", DUCKSTORE, *(part for name in used for part in (name, "ratio"))]
        lines = [head]
        part = ""
        for row in self.rows:
            if row.part != part:
                part = row.part
                lines.append([part] + [""] * (len(head) - 1))
            cells = [f"  {row.case}", _figures(row, DUCKSTORE)]
            for name in used:
                ratio = row.ratio(name)
                cells.append(_figures(row, name))
                cells.append(f"{ratio[0]:.2f} / {ratio[1]:.2f}" if ratio else "")
            lines.append(cells)
        widths = [max(len(line[index]) for line in lines) for index in range(len(head))]
        table = [
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, NOTE, "", *table])

    def json(self) -> str:
        """Every median, 99th percentile and ratio."""
        return json.dumps(
            {
                "title": self.title,
                "rows": [
                    {
                        "part": row.part,
                        "case": row.case,
                        "unit": row.unit,
                        "rounds": max(map(len, row.samples.values())),
                        "p50": {name: median(s) for name, s in row.samples.items() if s},
                        "p99": {name: p99(s) for name, s in row.samples.items() if s},
                        "ratio": {
                            name: ratio
                            for name in row.samples
                            if name != DUCKSTORE and (ratio := row.ratio(name))
                        },
                    }
                    for row in self.rows
                ],
            },
            indent=1,
        )


def p99(samples: list[float]) -> float:
    """The 99th percentile; of few samples the highest."""
    if len(samples) < 100:
        return max(samples)
    return quantiles(samples, n=100, method="inclusive")[-1]


def _figures(row: Row, name: str) -> str:
    samples = row.samples.get(name)
    if not samples:
        return ""
    if len(samples) == 1:
        return f"{_short(samples[0])} {row.unit}"
    return f"{_short(median(samples))} / {_short(p99(samples))} {row.unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
