"""Export of many items as Parquet, and their import, beside DuckDB and SQLite by themselves.

DuckDB by itself copies the same rows, sorted alike, with one `copy` for each relation, and reads
the JSON lines into one table of sessions; so it does neither what makes an export incremental and
safe, nor what makes items into runs and tool calls. SQLite by itself reads every session's items
and writes them as JSON lines, and inserts them in one transaction with the SDK's own statements.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import duckdb
from agents.memory import SQLiteSession

import duckstore
from duckstore.database import connect
from duckstore.exporting.shape import EXPORTED_TABLES, relation_sql, table_sql
from duckstore.schema import RELATIONS
from tests.benchmarks.bulk import fill_duckstore, fill_sqlite
from tests.benchmarks.conversations import items, timeline
from tests.benchmarks.queries import ITEMS_PER_SESSION, TEMPLATE_ITEMS
from tests.benchmarks.report import RATE, Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import DUCKSTORE, RAW, SQLITE

__all__ = ["measure_archive"]

LINES_TEMPLATE = 1000
"""Sessions that are different in the file to import; the others repeat them under other ids."""


async def measure_archive(folder: Path, scale: Scale) -> list[Row]:
    """Export a large store, and import a large file of JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    return [*_exports(folder, scale.export_items), *_imports(folder, scale.import_items)]


def _rate(count: int, work: Callable[[], Any]) -> list[float]:
    start = perf_counter()
    work()
    return [count / (perf_counter() - start)]


# Export --------------------------------------------------------------------------------------


def _exports(folder: Path, count: int) -> Iterator[Row]:
    template = max(min(count, TEMPLATE_ITEMS) // ITEMS_PER_SESSION, 1)
    copies = max(count // (template * ITEMS_PER_SESSION), 1)
    count = template * ITEMS_PER_SESSION * copies
    path, other = folder / "store.duckdb", folder / "session.sqlite"
    fill_duckstore(path, timeline(7, template, ITEMS_PER_SESSION), copies)
    fill_sqlite(other, timeline(7, template, ITEMS_PER_SESSION), copies)
    (folder / "raw").mkdir()
    with connect(str(path), memory_limit="2GB", threads=2, read_only=True) as connection:
        raw = _rate(count, lambda: _copy(connection, folder / "raw"))
    with duckstore.open(path) as store:
        own = _rate(count, lambda: store.export_parquet(folder / "export"))
        again = _rate(count, lambda: store.export_parquet(folder / "export"))
        store.conversation("new").add(items(1, 4))
        one = _rate(count, lambda: store.export_parquet(folder / "export"))
    sqlite = _rate(count, lambda: _dump(other, folder / "items.jsonl"))
    size = f"{count:,} items"
    yield Row("archive", f"export, {size}", {DUCKSTORE: own, RAW: raw, SQLITE: sqlite}, RATE)
    yield Row("archive", f"export, nothing new, {size}", {DUCKSTORE: again}, RATE)
    yield Row("archive", f"export, one new session, {size}", {DUCKSTORE: one}, RATE)


def _copy(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """What the export writes, copied by DuckDB: the relations, and the tables that go along."""
    statements = {relation: relation_sql(relation, "true") for relation in RELATIONS}
    statements |= {table: table_sql(table, "true") for table in EXPORTED_TABLES}
    for name, sql in statements.items():
        target = str(folder / f"{name}.parquet").replace("'", "''")
        connection.execute(f"copy ({sql}) to '{target}' (format parquet, compression zstd)")


def _dump(path: Path, target: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, target.open("w") as file:
        rows = connection.execute(
            "select session_id, message_data from agent_messages order by session_id, id"
        )
        for session_id, item in rows:
            file.write(f'{{"session_id": {json.dumps(session_id)}, "item": {item}}}\n')


# Import --------------------------------------------------------------------------------------


def _imports(folder: Path, count: int) -> Iterator[Row]:
    sessions = max(count // ITEMS_PER_SESSION, 1)
    path = folder / "sessions.jsonl"
    _write_lines(path, sessions)
    count = sessions * ITEMS_PER_SESSION
    with duckstore.open(folder / "imported.duckdb") as store:
        own = _rate(count, lambda: store.import_jsonl(path))
        again = _rate(count, lambda: store.import_jsonl(path))
        store.export_parquet(folder / "imported")
    with duckstore.open(folder / "merged.duckdb") as store:
        merged = _rate(count, lambda: store.import_file(folder / "imported"))
    with duckdb.connect(str(folder / "raw.duckdb")) as connection:
        place = str(path).replace("'", "''")
        raw = _rate(
            count,
            lambda: connection.execute(
                "create table sessions as select session_id, unnest(items)::json as item from"
                f" read_json('{place}', columns = {{session_id: 'varchar', items: 'json[]'}})"
            ),
        )
    sqlite = _rate(count, lambda: _insert(path, folder / "imported.sqlite"))
    size = f"{count:,} items"
    beside = {RAW: raw, SQLITE: sqlite}
    yield Row("archive", f"import of JSON lines, {size}", {DUCKSTORE: own, **beside}, RATE)
    yield Row("archive", f"import, nothing new, {size}", {DUCKSTORE: again}, RATE)
    yield Row("archive", f"import of an export, {size}", {DUCKSTORE: merged, **beside}, RATE)


def _write_lines(path: Path, sessions: int) -> None:
    texts = [
        json.dumps(items(number, ITEMS_PER_SESSION))
        for number in range(min(sessions, LINES_TEMPLATE))
    ]
    with path.open("w") as file:
        for number in range(sessions):
            name = json.dumps(f"session {number:07}")
            file.write(f'{{"session_id": {name}, "items": {texts[number % len(texts)]}}}\n')


def _insert(path: Path, target: Path) -> None:
    """The same lines into a file of `SQLiteSession`, by its own statements in one transaction."""
    session = SQLiteSession("template", target)
    with closing(session), closing(sqlite3.connect(target)) as connection, path.open() as file:
        for line in file:
            conversation = json.loads(line)
            session.session_id = conversation["session_id"]
            session._insert_items(connection, conversation["items"])
        connection.commit()
