"""What was measured, as one table of ratios and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.stores import (
    ADVANCED,
    APPENDER,
    DUCKSTORE,
    FEWEST,
    FILE,
    MIDDLE,
    OWNER,
    RAW,
    RELAXED,
    SQLITE,
    UNWATCHED,
)

__all__ = ["RATE", "Report", "Row"]

REFERENCES = (SQLITE, ADVANCED, APPENDER, FILE, RAW)
OTHERS = {
    OWNER: "owner",
    RELAXED: "relaxed",
    MIDDLE: "middle third",
    FEWEST: "smallest",
    UNWATCHED: "unwatched",
}
"""References of a few rows, which share one column: what the cell says."""
RATE = "/s"
"""The unit of which more is better."""
POINTS = (0.5, 0.99, 0.999)
LEAST_SAMPLES = 1000
"""Fewer have no percentile of 99.9."""
NOTE = (
    "Ratios are duckstore / the other: below 1 duckstore is faster or smaller, and where the unit\n"
    "is /s, above 1. Only they mean something; milliseconds are those of this machine at this\n"
    "moment. Each is p50 / p99, of 1,000 samples or more p50 / p99 / p99.9, of few samples median\n"
    "and worst, and of a single one itself."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was done, and the samples of each store, in `unit`."""

    part: str
    case: str
    samples: dict[str, list[float]]
    unit: str = "ms"

    def point(self, name: str, share: float) -> float:
        """The value below which that share of a store's samples lie; of rates, above which."""
        samples = self.samples[name]
        return percentile(samples, 1 - share if self.unit == RATE else share)

    def points(self, name: str) -> tuple[float, ...]:
        """p50, p99 and, where there are samples enough, p99.9; the value of a single sample."""
        count = len(self.samples.get(name, ()))
        shares = POINTS[
            : 0 if not count else 1 if count == 1 else 2 if count < LEAST_SAMPLES else 3
        ]
        return tuple(self.point(name, share) for share in shares)

    def ratio(self, other: str) -> tuple[float, ...] | None:
        """duckstore / other, at each point that both have."""
        own, reference = self.points(DUCKSTORE), self.points(other)
        if not own or not reference or not all(reference):
            return None
        return tuple(mine / theirs for mine, theirs in zip(own, reference, strict=False))


@dataclass(slots=True)
class Report:
    """All rows of a run."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def text(self) -> str:
        """The table for people."""
        used = [name for name in REFERENCES if any(name in row.samples for row in self.rows)]
        has_others = any(name in row.samples for row in self.rows for name in OTHERS)
        columns = used + (["other"] if has_others else [])
        head = ["", DUCKSTORE, *(part for name in columns for part in (name, "ratio"))]
        lines = [head]
        part = ""
        for row in self.rows:
            if row.part != part:
                part = row.part
                lines.append([part] + [""] * (len(head) - 1))
            cells = [f"  {row.case}", _figures(row, DUCKSTORE)]
            for name in used:
                cells += [_figures(row, name), _ratio(row, name)]
            if has_others:
                other = next((name for name in OTHERS if name in row.samples), None)
                cells += [f"{_figures(row, other)} {OTHERS[other]}" if other else ""]
                cells += [_ratio(row, other) if other else ""]
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
        """Every percentile and ratio."""
        return json.dumps(
            {
                "title": self.title,
                "rows": [
                    {
                        "part": row.part,
                        "case": row.case,
                        "unit": row.unit,
                        "rounds": max(map(len, row.samples.values())),
                        **{
                            f"p{share * 100:g}": {
                                name: row.point(name, share) for name, s in row.samples.items() if s
                            }
                            for share in POINTS
                        },
                        "worst": {name: row.point(name, 1) for name, s in row.samples.items() if s},
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


def percentile(samples: list[float], share: float) -> float:
    """The value below which that share of the samples lie, itself one of them, or their median."""
    if share == 0.5:
        return median(samples)
    ordered = sorted(samples)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def short(value: float) -> str:
    """A figure in about three digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.01:
        return f"{value:.1g}"  # it must not read as nothing
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _figures(row: Row, name: str) -> str:
    points = row.points(name)
    return f"{' / '.join(map(short, points))} {row.unit}" if points else ""


def _ratio(row: Row, name: str) -> str:
    return " / ".join(map(short, row.ratio(name) or ()))
