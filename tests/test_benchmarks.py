"""The benchmark suite runs whole, compares equal answers, and fills sound stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import duckstore
from duckstore import catalogue
from tests.benchmarks.__main__ import ALL, PARTS
from tests.benchmarks.__main__ import run as run_benchmarks
from tests.benchmarks.branches import OWN, fill_branches
from tests.benchmarks.bulk import fill_duckstore, fill_sqlite
from tests.benchmarks.catalogue import catalogue_markdown
from tests.benchmarks.conversations import Add, Edit, conversation, items, timeline
from tests.benchmarks.goals import GOALS, markdown
from tests.benchmarks.report import RATE, Report, Row
from tests.benchmarks.scale import SMALLEST
from tests.benchmarks.stores import (
    ADVANCED,
    APPENDER,
    DUCKSTORE,
    FEWEST,
    FILE,
    MIDDLE,
    OWNER,
    RELAXED,
    SQLITE,
    UNWATCHED,
    SQLiteContender,
)
from tests.samples import run

ALL_SESSIONS = {DUCKSTORE, SQLITE, ADVANCED}
TWO = {DUCKSTORE, SQLITE}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Everything at its smallest; parts that other processes do are in it."""
    return run(run_benchmarks(tmp_path_factory.mktemp("benchmarks"), SMALLEST, ALL))


@pytest.fixture(scope="module")
def some_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The parts that one process does alone, in a moment."""
    parts = ("add", "get", "pop", "turn", "durability", "branches", "watching")
    return run(run_benchmarks(tmp_path_factory.mktemp("some"), SMALLEST, parts))


def cases(report: Report, part: str) -> list[tuple[str, set[str]]]:
    """The cases of a part, and which stores each was measured of."""
    return [(row.case.split(" (")[0], set(row.samples)) for row in report.rows if row.part == part]


def test_every_row_of_single_operations_is_there(some_report: Report) -> None:
    assert cases(some_report, "add") == [
        (size, ALL_SESSIONS | {APPENDER, FILE})
        for size in ("1 item", "4 items", "16 items", "64 items")
    ]
    assert cases(some_report, "get") == [
        (f"{size} items, {heat}, {place}", ALL_SESSIONS)
        for place in ("alone", "beside 20")
        for size in (10, 100, 1000)
        for heat in ("warm", "cold")
    ]
    assert cases(some_report, "pop") == [
        ("pop, 100 items", ALL_SESSIONS),
        ("pop + add, 100 items", ALL_SESSIONS),
    ]
    assert cases(some_report, "turn") == [("get 100, add 1, add 3", ALL_SESSIONS)]
    assert cases(some_report, "durability") == [
        ("add 1, full", {DUCKSTORE, SQLITE, RELAXED}),
        ("add 16, full", {DUCKSTORE, SQLITE, RELAXED}),
    ]


@pytest.mark.slow
def test_every_row_of_many_at_once_is_there(report: Report) -> None:
    found = cases(report, "many")
    for count, size in ((16, 48), (50, 50)):
        case = f"{count} sessions, add 2"
        assert found[:3] == [
            (case, TWO | {APPENDER, FILE}),
            (f"{case}, and folded", TWO | {APPENDER, FILE}),
            (f"{case}, still folding {size}", {DUCKSTORE}),
        ]
        del found[:3]
    assert cases(report, "processes") == [
        ("add 3, a client alone", TWO | {OWNER}),
        ("add 3, more than in the owner", {DUCKSTORE}),
        ("get 100, a client alone", TWO | {OWNER}),
        ("get 100, more than in the owner", {DUCKSTORE}),
        ("add 3, 2 writers and a reader", TWO),
        ("the same, p95", TWO),
        ("commits of 2 writers", TWO),
        ("count of all items meanwhile", TWO),
        ("adds repeated because of a lock", TWO),
    ]


@pytest.mark.slow
def test_every_row_of_large_files_is_there(report: Report) -> None:
    assert cases(report, "query") == [
        ("turn_pairs", ALL_SESSIONS),
        ("tool_usage, current paths", TWO),
        ("tool_usage, all calls", {DUCKSTORE, ADVANCED}),
        ("edit_points", {DUCKSTORE, ADVANCED}),
    ]
    assert len(cases(report, "start")) == 3
    assert len(cases(report, "size")) == 7
    kinds = {
        "turn_pairs": ALL_SESSIONS,
        "turn_pairs, inside": ALL_SESSIONS,
        "tool_usage, current paths": TWO,
        "tool_usage, all calls": {DUCKSTORE, ADVANCED},
        "add 4": ALL_SESSIONS,
        "get 100, warm": ALL_SESSIONS,
        "get 10, cold": ALL_SESSIONS,
        "get 100, cold": ALL_SESSIONS,
        "get 1000, cold": ALL_SESSIONS,
        "pop": ALL_SESSIONS,
        "turn": ALL_SESSIONS,
        "open and close": TWO,
        "first get of 100 in a process": TWO,
        "making the index of sessions": {DUCKSTORE},
        "file": ALL_SESSIONS,
    }
    assert cases(report, "growth") == [
        (f"{kind}, {count} items", names)
        for kind, names in kinds.items()
        for count in SMALLEST.growth
    ]
    assert cases(report, "latency") == [
        ("add 4 of 4 KB, file to 4 MB", TWO),
        ("the longest of them", TWO),
        ("still folding at the end", {DUCKSTORE}),
        ("checkpoints meanwhile", {DUCKSTORE}),
    ]


@pytest.mark.slow
def test_every_row_of_memory_and_soak_is_there(report: Report) -> None:
    found = [
        (case.split(" MB", 1)[-1].strip(", "), names) for case, names in cases(report, "memory")
    ]
    assert found == [
        ("import duckstore", {DUCKSTORE}),
        ("import agents too", TWO),
        ("opened", TWO),
        ("then 3 turns", TWO),
        ("then 3 cold reads", TWO),
        ("then tool_usage", {DUCKSTORE}),
        ("then turn_pairs", {DUCKSTORE}),
        ("writing 500 items, new file", TWO),
    ]
    assert cases(report, "soak") == [
        (what, {DUCKSTORE, MIDDLE})
        for what in (*(f"resident, process {n}" for n in range(3)), "file", "log", "journal")
    ]


def test_every_row_of_branches_is_there(some_report: Report) -> None:
    own, two = {DUCKSTORE}, {DUCKSTORE, ADVANCED}
    wanted = []
    for what, sizes, kinds in (
        (
            "items",
            SMALLEST.branch_items,
            {
                "read 20 of another branch": two,
                "switch back from before the last turn": two,
                "switch back from the middle": two,
                "open before the last turn": two,
                "open in the middle": own,
                "edit the last turn": own,
            },
        ),
        (
            "branches",
            SMALLEST.branch_counts,
            {"read 20 of one": two, "read one whole": two, "read 20 of one, cold": own},
        ),
    ):
        least, most = sizes
        for kind, names in kinds.items():
            wanted += [(f"{kind}, {size} {what}", names) for size in sizes]
            wanted.append((f"{kind}, {most} {what} beside {least}", {DUCKSTORE, FEWEST}))
    assert cases(some_report, "branches") == wanted


def test_every_row_of_watching_is_there(some_report: Report) -> None:
    kinds = ("hooks", "tracing", "hooks and tracing")
    callbacks = ("llm_start", "llm_end", "tool_start", "tool_end", "span_start", "span_end")
    assert cases(some_report, "watching") == [
        *(
            (f"a run with {kind}, {count} events", {DUCKSTORE, UNWATCHED})
            for kind, count in zip(kinds, (14, 24, 38), strict=True)
        ),
        *(
            (f"an event of {kind}{where}", {DUCKSTORE})
            for kind in kinds
            for where in ("", ", on the processor")
        ),
        *((f"inside on_{callback}", {DUCKSTORE}) for callback in callbacks),
    ]


def test_what_takes_long_is_for_itself() -> None:
    assert set(ALL) - set(PARTS) == {"catalogue", "archive", "soak"}


@pytest.mark.slow
def test_every_query_is_in_the_table_of_the_catalogue(report: Report) -> None:
    """Asked of stores of two sizes and of one session of two, with seconds and memory."""
    queries = list(catalogue.bundled())
    small, large = SMALLEST.catalogue_items
    places = [
        place for n in (small, large) for place in (f"{n} items", f"{n // 50} in one session")
    ]
    rows = [row for row in report.rows if row.part == "catalogue"]
    assert {row.case for row in rows} == {
        f"{name}, {place}{what}"
        for name in queries
        for place in places
        for what in ("", ", memory")
    }
    lines = catalogue_markdown(report).splitlines()
    assert [line.split(" | ")[0] for line in lines[2 : 2 + len(queries)]] == [
        f"| `{name}`" for name in queries
    ]


def test_the_table_of_the_catalogue_tells_what_five_times_the_items_come_to() -> None:
    """A query that was not answered says so."""

    def row(place: str, value: float | None, unit: str = "s") -> Row:
        what = ", memory" if unit == "MB" else ""
        samples = {DUCKSTORE: [] if value is None else [value]}
        return Row("catalogue", f"turns, {place}{what}", samples, unit)

    rows = [row("10 items", 0.5), row("10 items", 100, "MB"), row("1 in one session", 0.1)]
    rows += [row("1 in one session", 90, "MB"), row("50 items", 2.5), row("50 items", 300, "MB")]
    rows += [row("5 in one session", None), row("5 in one session", None, "MB")]
    head, _, line, _, title = catalogue_markdown(Report("Title", rows)).splitlines()
    assert head == (
        "| query | 10 items: s | 50 items: s | ratio | 10 items: MB | 50 items: MB"
        " | 1 in one session: s | 5 in one session: s | ratio |"
    )
    assert line == "| `turns` | 0.50 | 2.50 | 5.00 | 100 | 300 | 0.10 | failed |  |"
    assert title == "Title."


@pytest.mark.slow
def test_every_store_was_measured_in_every_round(report: Report) -> None:
    for row in report.rows:
        if row.part in ("add", "get", "pop", "turn", "durability", "branches"):
            assert {len(samples) for samples in row.samples.values()} == {SMALLEST.rounds}, row
        assert all(row.samples.values()), row


@pytest.mark.slow
def test_the_table_shows_each_case_with_its_ratios(report: Report) -> None:
    text = report.text()
    assert all(row.case in text for row in report.rows)
    row = Row("add", "1 item", {DUCKSTORE: [2.0, 4.0, 6.0], SQLITE: [1.0, 2.0, 3.0]})
    assert row.ratio(SQLITE) == (2.0, 2.0)
    assert row.ratio(ADVANCED) is None
    assert "4.00 / 6.00 ms" in Report("t", [row]).text()


def test_many_samples_have_a_percentile_of_999_and_rates_a_low_one() -> None:
    many = [float(number) for number in range(1, 2001)]
    assert Row("add", "1 item", {DUCKSTORE: many}).points(DUCKSTORE) == (1000.5, 1981, 1999)
    assert Row("many", "adds", {DUCKSTORE: many[:100]}, RATE).points(DUCKSTORE) == (50.5, 2)
    assert Row("file", "file", {DUCKSTORE: [3.0]}, "MB").points(DUCKSTORE) == (3,)


@pytest.mark.slow
def test_the_json_holds_what_the_table_shows(report: Report) -> None:
    rows = json.loads(report.json())["rows"]
    assert [row["case"] for row in rows] == [row.case for row in report.rows]
    assert set(rows[0]["ratio"]) == {SQLITE, ADVANCED, APPENDER, FILE}


@pytest.mark.slow
def test_the_table_for_the_readme_has_every_goal(report: Report) -> None:
    head, line, *lines = markdown(report).split("\n\n")[0].splitlines()
    assert head.split(" | ") == ["| work", "goal", "measured", "met |"]
    assert len(lines) == len(GOALS)
    assert all(text.count("|") == head.count("|") == line.count("|") for text in lines)


def test_a_goal_is_met_or_not() -> None:
    def met(*milliseconds: float) -> str:
        rows = [Row("add", "1 item", {DUCKSTORE: list(milliseconds), SQLITE: [1.0]})]
        [line] = markdown(Report("t", rows)).splitlines()[2:3]
        return line

    assert met(0.7).endswith("| 0.70 | yes |")
    assert met(0.9).endswith("| 0.90 | **no** |")
    assert met().endswith("| failed | **no** |")


def test_a_tiny_ratio_is_not_shown_as_nothing() -> None:
    row = Row("branches", "open", {DUCKSTORE: [1.0], ADVANCED: [600.0]})
    assert row.ratio(ADVANCED) == (1 / 600,)
    assert "0.002" in Report("t", [row]).text()


def test_conversations_are_the_same_by_seed_and_have_edits() -> None:
    assert conversation(3, 40) == conversation(3, 40)
    assert len(items(1, 1000)) == 1000
    steps = [step for _, step in timeline(7, 30, 40)]
    assert sum(len(step.items) for step in steps if isinstance(step, Add)) == 30 * 40
    assert any(isinstance(step, Edit) for step in steps)
    sizes = [len(json.dumps(item)) for item in items(1, 1000)]
    assert 200 < sum(sizes) / len(sizes) < 400


def test_multiplied_sessions_keep_every_rule_of_a_store(tmp_path: Path) -> None:
    """What the fast path writes is a store like any other, and equals what SQLite holds."""
    path = tmp_path / "store.duckdb"
    fill_duckstore(path, timeline(7, 30, 40), 3, "a")
    fill_duckstore(path, timeline(8, 10, 5), 2, "b")
    plain = SQLiteContender(tmp_path / "session.sqlite")
    fill_sqlite(plain.path, timeline(7, 30, 40), 3, "a")
    fill_sqlite(plain.path, timeline(8, 10, 5), 2, "b")
    with duckstore.open(path) as store:
        assert store.check() == []
        session_ids = [session.session_id for session in store.sessions(limit=None)]
        assert len(session_ids) == 110
        assert store.sql("select count(*) from items").item() == 3 * 30 * 40 + 2 * 10 * 5
        for session_id in session_ids[::7]:
            other = plain.session(session_id)
            assert run(store.session(session_id).get_items()) == run(other.get_items())
            plain.release(other)


def test_branches_that_are_filled_in_keep_every_rule_of_a_store(tmp_path: Path) -> None:
    path, base = tmp_path / "store.duckdb", items(40, 40)
    fill_branches(path, "many", len(base), 30)
    with duckstore.open(path) as store:
        assert store.check() == []
        session = store.session("0-many")
        found = run(session.branches())
        assert [branch.name for branch in found] == ["main", *(f"one-{n}" for n in range(30))]
        assert len({branch.fork_position for branch in found}) > 3
        assert run(session.get_items(branch_id="main")) == base
        for branch in found[1:]:
            own = items(int(branch.name.removeprefix("one-")), OWN)
            wanted = base[: branch.fork_position] + own
            assert run(session.get_items(branch_id=branch.branch_id)) == wanted
