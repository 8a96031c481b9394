"""The goals of the engine, with what a run found for each: the table of the README."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.report import Report, Row, short
from tests.benchmarks.stores import ADVANCED, DUCKSTORE, FEWEST, SQLITE

__all__ = ["GOALS", "Goal", "markdown"]

Figures = list[float]
"""What was found at p50, p99 and p99.9, as far as there are samples; or one figure."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: the rows it is about, what to take from each, and what it may be."""

    work: str
    goal: str
    """What the issue wants; nothing where a figure only stands beside a goal."""
    part: str
    case: str
    """A regular expression; of a case that was measured at several sizes, the largest counts."""
    take: Callable[[Row], Figures | None]
    limit: float
    unit: str = "times"
    at_least: bool = False
    at: int = 0
    """Which of the figures the goal is about."""

    def measured(self, report: Report) -> list[Figures]:
        """The figures of each row that it is about; none of a row where duckstore failed."""
        rows = [r for r in report.rows if r.part == self.part and re.fullmatch(self.case, r.case)]
        taken = [self.take(row) if row.samples[DUCKSTORE] else [] for row in rows]
        return [figures for figures in taken if figures is not None]

    def is_met(self, found: Sequence[Figures]) -> bool:
        """Whether all rows keep the goal."""
        figures = [values[min(self.at, len(values) - 1)] for values in found if values]
        met = [f >= self.limit if self.at_least else f <= self.limit for f in figures]
        return len(met) == len(found) and all(met)


def _ratio(other: str) -> Callable[[Row], Figures | None]:
    return lambda row: list(row.ratio(other) or ()) or None


def _rate(row: Row) -> Figures | None:
    return list((row.ratio(SQLITE) or ())[:1]) or None


def _times_faster(row: Row) -> Figures | None:
    ratio = row.ratio(ADVANCED)
    return [1 / ratio[0]] if ratio else None


def _own(row: Row) -> Figures | None:
    return list(row.points(DUCKSTORE)) or None


def _seconds(row: Row) -> Figures | None:
    return [row.point(DUCKSTORE, 0.5) / 1000]


_SQLITE, _OWN_SMALLEST = _ratio(SQLITE), _ratio(FEWEST)
GOALS = (
    Goal("add 1, 4, 16, 64 items, one session alone", "at most 0.8 times `SQLiteSession`'s time",
         "add", r"\d+ items?", _SQLITE, 0.8),
    Goal("add, 16 sessions at once in one process", "at least 3 times its throughput",
         "many", r"16 sessions, add \d+", _rate, 3, at_least=True),
    Goal("the same, with folding it into DuckDB", "",
         "many", r"16 sessions, add \d+, and folded", _rate, 0, at_least=True),
    Goal("add, 50 sessions at once in one process", "at least 5 times its throughput",
         "many", r"50 sessions, add \d+", _rate, 5, at_least=True),
    Goal("the same, with folding it into DuckDB", "",
         "many", r"50 sessions, add \d+, and folded", _rate, 0, at_least=True),
    Goal("get 10, 100, 1,000 items, warm", "at most 0.4 times", "get",
         r"\d+ items, warm, alone", _SQLITE, 0.4),
    Goal("an agent's turn: get 100 items, add 1, add 3", "at most 0.5 times", "turn", ".*",
         _SQLITE, 0.5),
    Goal("get 10, 100, 1,000 items, cold, beside {small}", "at most 1.2 times", "growth",
         r"get \d+, cold, {small}", _SQLITE, 1.2),
    Goal("the same beside {large}", "at most 1.2 times", "growth",
         r"get \d+, cold, {large}", _SQLITE, 1.2),
    Goal("pop", "at most 1 time", "pop", r"pop, .*", _SQLITE, 1),
    Goal("commits while the file grows, p99.9", "at most 25 ms", "latency", "add .*",
         _own, 25, "ms", at=2),
    Goal("the longest of them", "at most 0.5 s", "latency", "the longest of them", _seconds, 0.5,
         "s"),
    Goal("add and get through another process, more than in the owner", "at most 1 ms more",
         "processes", ".*, more than in the owner", _own, 1, "ms"),
    Goal("an add, five processes writing and one reading, p95", "at most 25 ms", "processes",
         "the same, p95", _own, 25, "ms"),
    Goal("commits of the five beside five with `SQLiteSession`", "", "processes",
         "commits of .*", _rate, 0, at_least=True),
    Goal("a count over all items meanwhile", "at most 20 ms", "processes", "count of .*", _own, 20,
         "ms"),
    Goal("tool usage over {large}", "below 0.1 s", "growth", "tool_usage, all calls, {large}",
         _seconds, 0.1, "s"),
    Goal("turn pairs over {large}", "below 0.6 s", "growth", "turn_pairs, inside, {large}",
         _seconds, 0.6, "s"),
    Goal("tool usage on `AdvancedSQLiteSession`'s tables", "500 times slower", "growth",
         "tool_usage, all calls, {large}", _times_faster, 500, at_least=True),
    Goal("turn pairs on `AdvancedSQLiteSession`'s tables", "50 times slower", "growth",
         "turn_pairs, inside, {large}", _times_faster, 50, at_least=True),
    Goal("memory after opening, 200 turns, 100 cold reads", "below 200 MB", "memory",
         r".* MB( opened|, then \d+ .*)", _own, 200, "MB"),
    Goal("memory after writing a million items", "below 200 MB", "memory", "writing .*", _own, 200,
         "MB"),
    Goal("open a branch at 100, 5,000, 50,000 items, beside `AdvancedSQLiteSession`", "",
         "branches", r"open before the last turn, [\d,]+ items", _ratio(ADVANCED), 0,
         at_least=True),
    Goal("open a branch at 50,000 items, beside duckstore's own time at 100", "at most 1.5 times",
         "branches", "open before the last turn, .* beside .*", _OWN_SMALLEST, 1.5),
    Goal("read the last 20 items of another branch at 50,000 items, beside 100",
         "at most 1.5 times", "branches", "read 20 of another branch, .* beside .*",
         _OWN_SMALLEST, 1.5),
    Goal("the same in a session of 10,000 branches, beside 10", "at most 1.5 times", "branches",
         r"read 20 of one, [\d,]+ branches beside .*", _OWN_SMALLEST, 1.5),
    Goal("what hooks, tracing, both add to an agent's run, an event", "below 50 µs", "watching",
         "an event of [a-z ]+", _own, 50, "µs"),
    Goal("the same, on the processor", "below 50 µs", "watching",
         "an event of .*, on the processor", _own, 50, "µs"),
    Goal("the time inside a hook: a model call begins, ends; a tool call begins, ends",
         "below 50 µs", "watching", "inside on_(llm|tool)_.*", _own, 50, "µs"),
    Goal("the time inside tracing: a span begins, ends", "below 50 µs", "watching",
         "inside on_span_.*", _own, 50, "µs"),
)  # fmt: skip
SMALL = 50_000
"""Items beside which a cold read must be as good as beside the most."""


def markdown(report: Report) -> str:
    """The table of goals with what was measured; rows of parts that did not run are left out."""
    small, large = _sizes(report)
    lines = ["| work | goal | measured | met |", "|---|---|---|---|"]
    for goal in GOALS:
        placed = _placed(goal, small, large)
        found = placed.measured(report)
        if found:
            met = "" if not goal.goal else "yes" if goal.is_met(found) else "**no**"
            lines.append(f"| {placed.work} | {goal.goal} | {_texts(goal, found)} | {met} |")
    note = (
        "Ratios are to `SQLiteSession` unless another is named, each p50 (p99, p99.9 where there "
        "are samples enough)."
    )
    return "\n".join([*lines, "", f"{report.title}. {note}"])


def _placed(goal: Goal, small: str, large: str) -> Goal:
    """The goal with the sizes that were measured."""

    def put(text: str) -> str:
        return text.replace("{small}", small).replace("{large}", large)

    return replace(goal, work=put(goal.work), case=put(goal.case))


def _sizes(report: Report) -> tuple[str, str]:
    """How many items stood beside a cold read, as the rows say it: few and most."""
    counts = sorted(
        int(match[1].replace(",", ""))
        for row in report.rows
        if row.part == "growth" and (match := re.fullmatch(r"file, ([\d,]+) items", row.case))
    )
    if not counts:
        return "0 items", "0 items"
    small = min(counts, key=lambda count: abs(count - SMALL))
    return f"{small:,} items", f"{counts[-1]:,} items"


def _texts(goal: Goal, found: Sequence[Figures]) -> str:
    unit = "" if goal.unit == "times" else f" {goal.unit}"
    texts = []
    for figures in found:
        more = f" ({', '.join(map(short, figures[1:]))})" if figures[1:] else ""
        texts.append(f"{short(figures[0])}{more}{unit}" if figures else "failed")
    return "; ".join(texts)
