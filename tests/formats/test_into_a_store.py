"""Files of every format in a store: through `Store.import_file`, and back out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore.formats import FORMATS, reader
from duckstore.usage import Usage
from tests.formats import test_claude_code, test_codex, written
from tests.formats.reading import path_to, read_all, write_lines
from tests.formats.test_sqlite_session import five_branches
from tests.samples import RECORDINGS, run


@pytest.fixture
def store() -> Iterator[duckstore.Store]:
    with duckstore.open() as opened:
        yield opened


def items_of_branches(store: duckstore.Store, session_id: str) -> dict[str, list[Any]]:
    """The items of every branch of a session, by the branch's name."""
    items: dict[str, list[Any]] = {}
    for name, item in store.sql(
        "select branches.name, items.item from branch_items"
        " inner join branches using (branch_id) inner join items using (item_id)"
        " where branches.session_id = $session_id order by branch_id, branch_items.position",
        session_id=session_id,
    ).iter_rows():
        items.setdefault(name, []).append(json.loads(item))
    return items


def rows_of(store: duckstore.Store, relation: str) -> list[tuple[Any, ...]]:
    return store.sql(f"select * from {relation} order by all").rows()


def sums(store: duckstore.Store) -> Usage:
    row = store.sql(
        "select coalesce(sum(request_count), 0)::bigint, coalesce(sum(input_tokens), 0)::bigint,"
        " coalesce(sum(output_tokens), 0)::bigint,"
        " coalesce(sum(cache_read_input_tokens), 0)::bigint,"
        " coalesce(sum(cache_write_input_tokens), 0)::bigint,"
        " coalesce(sum(reasoning_output_tokens), 0)::bigint,"
        " coalesce(sum(total_tokens), 0)::bigint from responses"
    ).row(0)
    return Usage(*row)


@pytest.mark.parametrize("name", written.FILES)
def test_what_a_reader_gives_is_in_the_store(
    tmp_path: Path, store: duckstore.Store, name: str
) -> None:
    """Items, times, titles and metadata; the current path is the file's."""
    kind, write = written.FILES[name]
    write(tmp_path / name)
    report = store.import_file(tmp_path / name)
    assert report.format == kind
    transcripts, skipped = read_all(reader(kind), tmp_path / name)
    assert [tuple(one) for one in report.skipped] == skipped
    assert report.session_count == len(transcripts)
    assert report.item_count == sum(len(one.items) for one in transcripts)
    for one in transcripts:
        assert store.conversation(one.session_id).items() == path_to(one)
        row = store.sql(
            "select title, metadata, source from sessions where session_id = $id", id=one.session_id
        ).row(0, named=True)
        assert row["title"] == one.title
        assert json.loads(row["metadata"]) == one.metadata
        assert row["source"] == one.source
        if one.created_at is not None:
            told = sorted(at for at in one.created_at if at is not None)
            stored = store.sql(
                "select created_at from items where session_id = $id order by created_at, item_id",
                id=one.session_id,
            )["created_at"].to_list()
            if len(told) == len(one.items):
                assert stored == told
    assert store.check() == []


@pytest.mark.parametrize("name", written.FILES)
def test_importing_again_changes_nothing(tmp_path: Path, store: duckstore.Store, name: str) -> None:
    written.FILES[name][1](tmp_path / name)
    store.import_file(tmp_path / name)
    before = {relation: rows_of(store, relation) for relation in ("items", "responses", "branches")}
    report = store.import_file(tmp_path / name)
    assert (report.session_count, report.grown_count, report.item_count) == (0, 0, 0)
    assert report.unchanged_count > 0
    assert {relation: rows_of(store, relation) for relation in before} == before


def test_five_branches_and_their_usage_arrive_complete(
    tmp_path: Path, store: duckstore.Store
) -> None:
    """Of a file that the SDK's own session and Runner wrote."""
    items, usage = run(five_branches(tmp_path / "trip.db"))
    report = store.import_file(tmp_path / "trip.db")
    assert (report.session_count, report.skipped) == (1, [])
    assert items_of_branches(store, "trip") == items
    assert store.conversation("trip").items() == items["calm"]
    stored = [turn for turns in usage.values() for turn in turns]
    found = sums(store)
    assert found.request_count == sum(turn["requests"] for turn in stored)
    assert found.total_tokens == sum(turn["total_tokens"] for turn in stored)
    assert found.cache_read_input_tokens == sum(
        turn["input_tokens_details"]["cached_tokens"] for turn in stored
    )
    kinds = store.sql("select distinct tool_name, status from tool_calls").rows()
    assert kinds == [("weather", "ok")]
    assert store.sql("select count(*) from tool_calls").item() == 2
    assert store.check() == []


def test_copied_prefixes_of_rollouts_count_once(tmp_path: Path, store: duckstore.Store) -> None:
    """A rollout, a fork of it and a fork of that are one session with three ways."""
    test_codex.write_family(tmp_path)
    report = store.import_file(tmp_path)
    assert (report.session_count, report.grown_count, report.skipped) == (1, 2, [])
    assert report.item_count == 6 + 1 + 2 + 2
    assert sums(store).request_count == 2
    assert sums(store).total_tokens == 3 * 13
    assert store.sql("select count(*) from tool_calls").item() == 1
    ends = {
        items[-1]["content"][0]["text"]
        for items in items_of_branches(store, test_codex.ROOT).values()
    }
    assert ends == {"More", "Now this", "Then that"}
    assert store.check() == []


def test_a_fork_that_is_imported_later_finds_its_session(
    tmp_path: Path, store: duckstore.Store
) -> None:
    test_codex.write_family(tmp_path)
    for folder in ("10", "08", "09"):
        store.import_file(tmp_path / folder)
    with duckstore.open() as at_once:
        at_once.import_file(tmp_path)
        for relation in ("items", "responses", "tool_calls"):
            counted = f"select count(*) from {relation}"
            assert store.sql(counted).item() == at_once.sql(counted).item()
    assert store.check() == []


def test_copied_lines_of_claude_code_count_once(tmp_path: Path, store: duckstore.Store) -> None:
    """In one import of the folder, and when the copy is imported later."""
    lines = test_claude_code.conversation()
    copies = [{**one, "sessionId": "s2"} for one in lines[:2]]
    more = test_claude_code.says("w", "a", "Other", sessionId="s2")
    write_lines(tmp_path / "p" / "s1.jsonl", lines)
    write_lines(tmp_path / "p" / "s2.jsonl", [*copies, more])
    report = store.import_file(tmp_path / "p")
    assert (report.session_count, report.item_count) == (1, 5)
    assert sums(store).request_count == 2
    with duckstore.open() as later:
        later.import_file(tmp_path / "p" / "s1.jsonl")
        report = later.import_file(tmp_path / "p" / "s2.jsonl")
        assert (report.session_count, report.grown_count, report.item_count) == (0, 1, 1)
        assert sums(later) == sums(store)
        assert later.check() == []


def test_a_transcript_that_has_grown_brings_what_is_new(
    tmp_path: Path, store: duckstore.Store
) -> None:
    """With its usage; and the conversation goes on to its end."""
    lines = test_claude_code.conversation()
    path = tmp_path / "s1.jsonl"
    store.import_file(write_lines(path, lines[:2]))
    report = store.import_file(write_lines(path, lines))
    assert (report.session_count, report.grown_count, report.item_count) == (0, 1, 2)
    assert len(store.conversation("u").items()) == 4
    assert sums(store).request_count == 2


def test_tools_that_failed_are_known_to_have_failed(tmp_path: Path, store: duckstore.Store) -> None:
    lines = [
        test_claude_code.says("u", None, "Hi"),
        test_claude_code.answers("a", "u", test_claude_code.use("t1"), test_claude_code.use("t2")),
        test_claude_code.says("r", "a", [test_claude_code.result("t1", "no", is_error=True)]),
        test_claude_code.says("s", "r", [test_claude_code.result("t2", "yes")]),
    ]
    store.import_file(write_lines(tmp_path / "s1.jsonl", lines))
    calls = store.sql("select call_id, status, error from tool_calls order by call_id").rows()
    assert calls == [("t1", "error", "no"), ("t2", "ok", None)]


def test_runs_begin_with_what_a_person_said(tmp_path: Path, store: duckstore.Store) -> None:
    """And last as long as the file's times say."""
    lines = [
        test_claude_code.says("m", None, "Caveat", isMeta=True),
        *(
            {**line, "parentUuid": line["parentUuid"] or "m"}
            for line in test_claude_code.conversation()
        ),
    ]
    store.import_file(write_lines(tmp_path / "s1.jsonl", lines))
    runs = store.sql("select user_message, created_at, ended_at from runs order by turn_number")
    assert runs["user_message"].to_list() == ["Hi", "More"]
    ends = [datetime.fromisoformat(lines[place]["timestamp"]) for place in (2, 4)]
    assert runs["ended_at"].to_list() == ends


def test_an_export_of_chatgpt_keeps_its_forks(store: duckstore.Store) -> None:
    path = RECORDINGS / "chatgpt" / "chatgpt-tree.json"
    if not path.exists():
        pytest.skip("the recorded conversations are not beside this checkout")
    report = store.import_file(path)
    assert (report.session_count, report.item_count, report.skipped) == (1, 11, [])
    kinds = store.sql(
        "select kind, count(distinct coalesce(item_before_id, 0)) from edit_points group by all"
        " order by all"
    ).rows()
    assert kinds == [("edit", 1), ("regenerate", 1)]
    models = store.sql("select distinct model from responses").rows()
    assert models == [("text-davinci-002-render-sha",)]
    assert store.check() == []


def test_a_database_is_imported_by_its_url(tmp_path: Path, store: duckstore.Store) -> None:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("aiosqlite")
    from tests.formats.test_sqlalchemy_session import CONVERSATIONS, write_sessions

    path = write_sessions(tmp_path / "chat.db", CONVERSATIONS)
    report = store.import_file(f"sqlite+aiosqlite:///{path}", format="sqlalchemy")
    assert (report.session_count, report.skipped) == (2, [])
    for session_id, items in CONVERSATIONS.items():
        assert store.conversation(session_id).items() == items
    assert store.import_file(path).unchanged_count == 2


def test_a_folder_of_everything_is_imported_file_by_file(
    tmp_path: Path, store: duckstore.Store
) -> None:
    for name, (_, write) in written.FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("hello")
    report = store.import_file(tmp_path)
    assert {file.format for file in report.files} == set(FORMATS) - {"sqlalchemy"}
    assert [Path(path).name for path in report.ignored] == ["notes.txt"]
    assert all(file.error is None for file in report.files)
    assert store.check() == []
