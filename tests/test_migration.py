"""Stores of older versions are brought up to date, after a copy of them was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckstore
from duckstore import errors
from duckstore.command import Command
from duckstore.encoding import encode_items
from duckstore.journal import Journal, journal_path
from duckstore.schema import RELATIONS, SCHEMA_VERSION
from duckstore.telemetry import Seen, SeenResponse
from tests.rich import facts, fill
from tests.runs import rows
from tests.samples import assistant, call, output, user

RESPONSES_2 = """
create table response_rows_2 (
    response_id bigint not null,
    session_key bigint not null,
    model varchar,
    request_count bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint,
    cache_creation_input_tokens bigint,
    reasoning_output_tokens bigint,
    total_tokens bigint,
    finish_reason varchar,
    started_at timestamptz,
    ended_at timestamptz,
    trace_id varchar,
    workflow_name varchar,
    group_id varchar,
)
"""
NEW_IN_3 = ("call_rows", "outcome_rows", "guardrail_rows", "price_rows")
TOKENS = (
    "select response_id, session_id, run_id, agent_name, model, request_count, input_tokens,"
    " output_tokens, cache_read_input_tokens, cache_write_input_tokens,"
    " reasoning_output_tokens, total_tokens, trace_id from responses order by response_id"
)
SUMS = (
    "select id, response_count, tool_call_count, input_tokens, output_tokens,"
    " cache_read_input_tokens, reasoning_output_tokens, total_tokens from runs order by id"
)


def make_version_3(path: Path) -> None:
    """Take from a store what version 3 did not have."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table response_rows drop column offered_tools")
        connection.execute("update store_meta set value = '3' where key = 'schema_version'")
        connection.execute("update store_meta set value = 'old' where key = 'relations'")


def make_version_2(path: Path) -> None:
    """Take from a store what version 2 did not have."""
    make_version_3(path)
    with duckdb.connect(str(path)) as connection:
        for table in NEW_IN_3:
            connection.execute(f"drop table {table}")
        connection.execute(RESPONSES_2)
        connection.execute(
            "insert into response_rows_2 by name select * exclude (item_id, run_id,"
            " parent_tool_call_id, agent_name, provider_response_id, elapsed_seconds, error_type,"
            " error, span_id) rename (cache_write_input_tokens as cache_creation_input_tokens)"
            " from response_rows where response_id = item_id"
        )
        connection.execute("drop table response_rows")
        connection.execute("alter table response_rows_2 rename to response_rows")
        connection.execute("update store_meta set value = '2' where key = 'schema_version'")
        connection.execute("update store_meta set value = 'old' where key = 'relations'")


def make_version_1(path: Path) -> None:
    """Take from a store what version 1 did not have."""
    make_version_2(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop table request_rows")
        connection.execute("delete from store_meta where key = 'folded'")
        connection.execute("update store_meta set value = '1' where key = 'schema_version'")


MAKE_OLDER = {1: make_version_1, 2: make_version_2, 3: make_version_3}
every_version = pytest.mark.parametrize("version", MAKE_OLDER)


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What DuckDB alone says of a file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@every_version
def test_an_older_store_is_brought_up_to_date(version: int, path: Path) -> None:
    """Everything in it is there, it can be written, and the old file stands beside it."""
    with duckstore.open(path) as store:
        fill(store)
        before = {s.session_id: store.conversation(s.session_id).items() for s in store.sessions()}
    MAKE_OLDER[version](path)
    old = path.read_bytes()
    with duckstore.open(path) as store:
        for session_id, items in before.items():
            assert store.conversation(session_id).items() == items
        store.conversation("orders").add([user("one more")])
        assert store.check() == []
    copy = path.with_name(f"{path.name}.v{version}")
    assert copy.read_bytes() == old
    with duckstore.open(path) as store:
        assert store.conversation("orders").items()[-1] == user("one more")
    found = asked(path, "select value from store_meta where key = 'schema_version'")
    assert found == [(str(SCHEMA_VERSION),)]


@every_version
def test_its_tables_are_those_of_a_new_store(version: int, path: Path, tmp_path: Path) -> None:
    """Column by column, in their order: rows are appended by position."""
    columns = (
        "select table_name, ordinal_position, column_name, data_type, is_nullable"
        " from information_schema.columns where table_catalog = current_database()"
        " order by all"
    )
    new = tmp_path / "new.duckdb"
    for name in (path, new):
        duckstore.open(name).close()
    MAKE_OLDER[version](path)
    assert asked(path, columns) != asked(new, columns)
    duckstore.open(path).close()
    assert asked(path, columns) == asked(new, columns)


@every_version
def test_token_counts_are_kept(version: int, path: Path) -> None:
    """Each response has those that it had, and the run of its items; new ones come beside them."""
    with duckstore.open(path) as store:
        fill(store)
        responses, sums = rows(store, TOKENS), rows(store, SUMS)
        last_id = responses[-1][0]
    MAKE_OLDER[version](path)
    (names,) = asked(
        path,
        "select string_agg(column_name, ', ' order by ordinal_position)"
        " from information_schema.columns where table_name = 'response_rows'",
    )[0]
    old = asked(path, "select * from response_rows order by response_id")
    with duckstore.open(path) as store:
        assert rows(store, TOKENS) == responses
        assert rows(store, SUMS) == sums
        assert rows(store, "select sum(total_tokens)::bigint from responses") == [(126,)]
        for relation in RELATIONS:
            store.sql(f"select * from {relation}")
        talk = store.conversation("orders")
        talk.add([assistant("Here I am.")], facts("triage", 50, 9))
        talk.add([user("Thanks."), assistant("Bye.")], facts("triage", 60, 1))
        assert rows(store, "select sum(total_tokens)::bigint from responses") == [(246,)]
        assert store.check() == []
    assert len(old) == 4
    kept = f"where response_id <= {last_id} order by response_id"
    now = names.replace("cache_creation", "cache_write")
    assert asked(path, f"select {now} from response_rows {kept}") == old
    assert asked(
        path,
        "select count(*), bool_and(response_rows.run_id = item_rows.run_id) from response_rows"
        " join item_rows on response_rows.response_id = item_rows.item_id"
        " where response_rows.item_id = response_rows.response_id",
    ) == [(6, True)]


@every_version
def test_offered_tools_are_known_from_then_on(version: int, path: Path) -> None:
    """Of what was stored before, nobody told."""
    offered = "select offered_tools from responses order by response_id"
    told = Seen(response=SeenResponse(model="gpt-5-mini", offered_tools=("find", "cancel")))
    with duckstore.open(path) as store:
        store.conversation("s").add([user("Hi."), assistant("Hello.")], told)
        assert rows(store, offered) == [(["find", "cancel"],)]
    MAKE_OLDER[version](path)
    with duckstore.open(path) as store:
        assert rows(store, offered) == [(None,)]
        store.conversation("s").add([user("Hi again."), assistant("Hello.")], told)
        assert rows(store, offered) == [(None,), (["find", "cancel"],)]
        assert store.check() == []


def test_an_older_store_is_not_changed_by_reading(path: Path) -> None:
    duckstore.open(path).close()
    make_version_1(path)
    before = path.read_bytes()
    with pytest.raises(errors.StoreReadOnlyError, match="open it once for writing"):
        duckstore.open(path, read_only=True)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# What a killed process of version 0.3.0 left ---------------------------------------------------


def added(items: list[Any], **values: Any) -> Command:
    """A batch of the session "left", with what version 0.3.0 knew of it beyond its items."""
    raws = encode_items(items)
    return Command("add", "left", values, raws, len(raws) + 7)


def used(*counts: int) -> Command:
    """Token usage that `store_run_usage` brought after the run: requests, and tokens."""
    return Command("usage", "left", {"usage": list(counts)}, (), 4)


def leave(path: Path, *commands: Command) -> None:
    """Make a store of version 2 beside which a journal with these commands lies."""
    with duckstore.open(path) as store:
        fill(store)
    make_version_2(path)
    meta = dict(asked(path, "select key, value from store_meta"))
    number, first_id = int(meta["folded"]) + 1, 10_000
    records = []
    for index, command in enumerate(commands):
        records.append(command.place(number + index, first_id, 1_700_000_000_000_000 + index))
        first_id += command.id_count
    Journal.create(journal_path(str(path)), meta["store_id"], number, records).close()


LEFT = (
    "select agent_name, model, trace_id, workflow_name, request_count, input_tokens,"
    " output_tokens, cache_read_input_tokens, cache_write_input_tokens,"
    " reasoning_output_tokens, total_tokens from responses where session_id = 'left'"
    " order by response_id"
)


def test_a_journal_of_version_2_is_brought_in(path: Path) -> None:
    """What the Runner brought is all there: agents, usage, models and traces, and the run."""
    told = {"agent_name": "Desk", "trace_id": "trace_7", "is_live": True}
    leave(
        path,
        added([user("Where is it?")], trace_id="trace_7", is_live=True),
        added(
            [call("find", "a"), output("a", "shipped")],
            **told,
            usage=[1, 10, 5, 4, 3, 2, 15],
            model="gpt-4.1",
            workflow_name="Support",
        ),
        added([assistant("It is on its way.")], **told, usage=[2, 30, 6, 0, 0, 0, 36]),
        added([user("Thanks."), assistant("Bye.")]),
    )
    with duckstore.open(path) as store:
        assert rows(store, LEFT) == [
            ("Desk", "gpt-4.1", "trace_7", "Support", 1, 10, 5, 4, 3, 2, 15),
            ("Desk", None, "trace_7", None, 2, 30, 6, 0, 0, 0, 36),
            (None, None, None, None, None, None, None, None, None, None, None),
        ]
        assert rows(
            store,
            "select status, response_count, tool_call_count, total_tokens, assistant_message"
            " from runs where session_id = 'left' order by id",
        ) == [
            ("completed", 2, 1, 51, "It is on its way."),
            ("completed", 1, 0, None, "Bye."),
        ]
        assert store.check() == []
        store.conversation("left").add([user("One more."), assistant("Yes?")], facts("Desk", 7, 1))
    with duckstore.open(path) as store:
        assert len(store.conversation("left").items()) == 8
        assert len(rows(store, LEFT)) == 4
        assert store.check() == []


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        pytest.param(
            [
                added([user("one"), assistant("1")], agent_name="A"),
                used(1, 10, 2, 3, 4, 1, 12),
                added([user("two"), assistant("2")], agent_name="B"),
                used(2, 100, 20, 30, 40, 10, 120),
            ],
            [("A", 1, 10, 12), ("B", 2, 100, 120)],
            id="of each run",
        ),
        pytest.param(
            [
                added([user("one")]),
                added([call("find", "a"), output("a")], agent_name="A"),
                added([assistant("1")], agent_name="A"),
                used(2, 10, 2, 3, 4, 1, 12),
            ],
            [("A", None, None, None), ("A", 2, 10, 12)],
            id="of two responses",
        ),
        pytest.param(
            [
                added([user("one"), assistant("1")], agent_name="A", trace_id="trace_7"),
                used(1, 10, 2, 3, 4, 1, 12),
            ],
            [("A", 1, 10, 12)],
            id="of a run with a trace",
        ),
    ],
)
def test_usage_that_came_after_its_run_is_brought_in(
    commands: list[Command], expected: list[tuple[Any, ...]], path: Path
) -> None:
    """It is that of the run's latest response."""
    leave(path, *commands)
    with duckstore.open(path) as store:
        found = rows(
            store,
            "select agent_name, request_count, input_tokens, total_tokens from responses"
            " where session_id = 'left' order by response_id",
        )
        assert store.check() == []
    assert found == expected


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(
            [
                added([user("one"), assistant("1")], agent_name="A"),
                used(1, 10, 2, 3, 4, 1, 12),
                used(2, 100, 20, 30, 40, 10, 120),
            ],
            id="of two runs in one turn",
        ),
        pytest.param(
            [
                added([user("one")]),
                added([call("find", "a"), output("a")], agent_name="A"),
                added([assistant("1")], agent_name="A", usage=[1, 10, 2, 3, 4, 1, 12]),
                used(2, 100, 20, 30, 40, 10, 120),
            ],
            id="of an earlier response",
        ),
    ],
)
def test_usage_beyond_what_a_run_has_is_not_lost(commands: list[Command], path: Path) -> None:
    """Where the latest response has its own already, the sums still are those of all of it."""
    leave(path, *commands)
    with duckstore.open(path) as store:
        sums = (
            "select sum(input_tokens)::bigint, sum(output_tokens)::bigint,"
            " sum(total_tokens)::bigint from {} where session_id = 'left'"
        )
        found = [rows(store, sums.format(relation)) for relation in ("responses", "runs")]
        assert store.check() == []
    assert found == [[(110, 22, 132)]] * 2
