"""The benchmark suite runs whole, compares equal answers, and fills sound stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import duckstore
from tests.benchmarks.__main__ import PARTS
from tests.benchmarks.__main__ import run as run_benchmarks
from tests.benchmarks.bulk import fill_duckstore, fill_sqlite
from tests.benchmarks.conversations import Add, Edit, conversation, items, timeline
from tests.benchmarks.operations import Scale
from tests.benchmarks.report import Report, Row
from tests.benchmarks.stores import ADVANCED, APPENDER, DUCKSTORE, FILE, SQLITE, SQLiteContender
from tests.samples import run

SMALLEST = Scale(rounds=2, seconds=1, sessions=20, items=800, query_rounds=1)
ALL_SESSIONS = {DUCKSTORE, SQLITE, ADVANCED}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(run_benchmarks(tmp_path_factory.mktemp("benchmarks"), SMALLEST, PARTS))


def test_every_row_of_the_table_is_there(report: Report) -> None:
    cases = [(row.part, row.case.split(" (")[0], set(row.samples)) for row in report.rows]
    assert cases[:4] == [
        ("add", f"{size}", ALL_SESSIONS | {APPENDER, FILE})
        for size in ("1 item", "4 items", "16 items", "64 items")
    ]
    assert cases[4:16] == [
        ("get", f"{size} items, {heat}, {place}", ALL_SESSIONS)
        for place in ("alone", "beside 20")
        for size in (10, 100, 1000)
        for heat in ("warm", "cold")
    ]
    assert cases[16:19] == [
        ("pop", "pop, 100 items", ALL_SESSIONS),
        ("pop", "pop + add, 100 items", ALL_SESSIONS),
        ("turn", "get 100, add 1, add 3", ALL_SESSIONS),
    ]
    assert [case for case in cases if case[0] == "query"] == [
        ("query", "turn_pairs", ALL_SESSIONS),
        ("query", "tool_usage, current paths", {DUCKSTORE, SQLITE}),
        ("query", "tool_usage, all calls", {DUCKSTORE, ADVANCED}),
        ("query", "edit_points", {DUCKSTORE, ADVANCED}),
    ]
    assert [case[0] for case in cases[19:]].count("start") == 3
    assert [case[0] for case in cases[19:]].count("size") == 7


def test_every_store_was_measured_in_every_round(report: Report) -> None:
    for row in report.rows:
        if row.part in ("add", "get", "pop", "turn"):
            assert {len(samples) for samples in row.samples.values()} == {SMALLEST.rounds}, row


def test_the_table_shows_each_case_with_its_ratios(report: Report) -> None:
    text = report.text()
    assert all(row.case in text for row in report.rows)
    row = Row("add", "1 item", {DUCKSTORE: [2.0, 4.0, 6.0], SQLITE: [1.0, 2.0, 3.0]})
    assert row.ratio(SQLITE) == (2.0, 2.0)
    assert row.ratio(ADVANCED) is None
    assert "4.00 / 6.00 ms" in Report("t", [row]).text()


def test_the_json_holds_what_the_table_shows(report: Report) -> None:
    rows = json.loads(report.json())["rows"]
    assert [row["case"] for row in rows] == [row.case for row in report.rows]
    assert set(rows[0]["ratio"]) == {SQLITE, ADVANCED, APPENDER, FILE}


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
