"""Files that cannot be a store are refused, named and left as they are; one file is one store."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckstore
from duckstore import errors
from duckstore.schema import SCHEMA_VERSION
from tests.processes import python
from tests.samples import assistant, call, output, run, user


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of a folder with the hash of its bytes."""
    return {
        entry.name: hashlib.sha256(entry.read_bytes()).hexdigest()
        for entry in sorted(folder.iterdir())
        if entry.is_file()
    }


def a_store(path: Path) -> None:
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one"), user("two")])


def with_log(path: Path, statements: str) -> None:
    """A database whose writer was killed: what it committed last stands in a .wal beside it."""
    python(
        "import os, duckdb\n"
        f"connection = duckdb.connect({str(path)!r})\n"
        f"connection.execute({statements!r})\n"
        "os._exit(0)\n"
    )
    assert path.with_name(path.name + ".wal").exists()


# What can stand at a path, and what opening it must say: class, cause, remedy.
def text_file(path: Path) -> None:
    path.write_text("a text that is long enough to be no header of any database at all\n" * 40)


def short_file(path: Path) -> None:
    path.write_bytes(b"\x00" * 5)


def sqlite_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table agent_sessions (session_id text)")
    connection.commit()
    connection.close()


def other_database(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table orders as select 1 as id")


def other_database_with_log(path: Path) -> None:
    with_log(path, "create table orders as select 1 as id")


def other_views(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema sales; create view sales.orders as select 1 as id")


def newer_schema(path: Path) -> None:
    a_store(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"update store_meta set value = '{SCHEMA_VERSION + 1}' where key = 'schema_version'"
        )


def foreign_meta(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table store_meta as select 'x' as key, 'y' as value")


def foreign_columns(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table store_meta as select 1 as id")


def missing_table(path: Path) -> None:
    a_store(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop table move_rows")


def unknown_version(path: Path) -> None:
    a_store(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("update store_meta set value = 'new' where key = 'schema_version'")


def truncated(path: Path) -> None:
    a_store(path)
    path.write_bytes(path.read_bytes()[:5000])


def corrupted(path: Path) -> None:
    a_store(path)
    data = bytearray(path.read_bytes())
    for start in (4096, 8192):  # both of the headers that say where everything is
        data[start + 8 : start + 200] = bytes(192)
    path.write_bytes(data)


def damaged_log(path: Path) -> None:
    with_log(path, "create table t as select range as i from range(1000)")
    log = path.with_name(path.name + ".wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0xFF
    log.write_bytes(data)


BAD_FILES: list[tuple[Callable[[Path], None], type[errors.StoreError], str]] = [
    (text_file, errors.NotADatabaseError, "not a DuckDB database.*path of its own"),
    (short_file, errors.NotADatabaseError, "not a DuckDB database.*path of its own"),
    (sqlite_file, errors.NotADatabaseError, "an SQLite database.*path of its own"),
    (other_database, errors.NotAStoreError, "other tables.*orders.*path of its own"),
    (other_database_with_log, errors.NotAStoreError, "other tables.*orders.*path of its own"),
    (other_views, errors.NotAStoreError, "other tables.*orders.*path of its own"),
    (foreign_meta, errors.NotAStoreError, "not a duckstore.*path of its own"),
    (foreign_columns, errors.NotAStoreError, "not a duckstore.*path of its own"),
    (newer_schema, errors.NewerSchemaError, f"schema version {SCHEMA_VERSION + 1}.*upgrade"),
    (unknown_version, errors.DamagedStoreError, "schema version is 'new'.*backup"),
    (missing_table, errors.DamagedStoreError, "missing tables are move_rows.*backup"),
    (truncated, errors.DamagedStoreError, "cannot be read by DuckDB.*backup"),
    (corrupted, errors.DamagedStoreError, "cannot be read by DuckDB.*backup"),
    (damaged_log, errors.DamagedStoreError, "cannot be read by DuckDB.*backup"),
]


@pytest.mark.parametrize(
    ("make", "kind", "words"), BAD_FILES, ids=[m.__name__ for m, *_ in BAD_FILES]
)
def test_a_bad_file_is_refused_and_left_as_it_is(
    make: Callable[[Path], None], kind: type[errors.StoreError], words: str, path: Path
) -> None:
    make(path)
    before = fingerprint(path.parent)
    for _ in range(2):
        with pytest.raises(kind, match=f"(?is){words}") as caught:
            duckstore.open(path)
        assert type(caught.value) is kind
        assert str(path) in str(caught.value)
    assert fingerprint(path.parent) == before


def test_a_byte_that_changed_is_never_read_over(path: Path) -> None:
    """Wherever the file is damaged, its use says so by one error and returns nothing wrong."""
    items = [user("question"), call("look", "c"), output("c"), assistant("answer")] * 5
    with duckstore.open(path) as store:
        store.conversation("s").add(items)
    whole = path.read_bytes()
    outcomes = set()
    for start in range(0, len(whole), 4096):
        if not any(whole[start : start + 4096]):
            continue
        damaged = bytearray(whole)
        damaged[start + 100] ^= 0xFF
        copy = path.with_name(f"{start}.duckdb")
        copy.write_bytes(damaged)
        try:
            with duckstore.open(copy) as store:
                assert store.conversation("s").items() == items
                assert store.check() == []
        except errors.DamagedStoreError:
            outcomes.add("told")
        except errors.NotADatabaseError:
            assert start == 0
    assert outcomes == {"told"}


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.StorePathError, match="is a directory: name a file in it") as caught:
        duckstore.open(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "agents.duckdb"
    with pytest.raises(errors.StorePathError, match="does not exist: make it first"):
        duckstore.open(path)
    assert list(tmp_path.iterdir()) == []


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    before = fingerprint(tmp_path)
    with pytest.raises(errors.StorePathError, match=r"agents.duckdb"):
        duckstore.open(tmp_path / "file" / "agents.duckdb")
    assert fingerprint(tmp_path) == before


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe is not opened: that would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.StorePathError, match="not a regular file"):
        duckstore.open(tmp_path / "pipe")
    with pytest.raises(errors.StorePathError, match="not a regular file"):
        duckstore.open("/dev/null")


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a folder none can write in")
def test_a_folder_that_nobody_can_write_in_is_refused() -> None:
    with pytest.raises(errors.StorePathError, match=r"cannot be (made|written)"):
        duckstore.open("/proc/agents.duckdb")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_without_the_right_to_write_is_refused(path: Path) -> None:
    a_store(path)
    path.chmod(0o400)
    with pytest.raises(errors.StorePathError, match=r"cannot be written.*rights"):
        duckstore.open(path)


@pytest.mark.parametrize("value", ["", "a\0b", b"bytes.duckdb"])
def test_what_is_no_path_is_refused(value: Any) -> None:
    with pytest.raises(errors.ArgumentError, match="name a file"):
        duckstore.open(value)


HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_held_by_another_process_is_refused_by_its_name(path: Path) -> None:
    a_store(path)
    before = fingerprint(path.parent)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(errors.StoreLockedError, match="Close it there") as caught:
            duckstore.open(path)
        assert f"PID {holder.pid}" in str(caught.value)
        assert str(path) in str(caught.value)
    finally:
        holder.communicate("")
    assert fingerprint(path.parent) == before
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == [user("one"), user("two")]


def test_a_file_that_this_process_holds_by_plain_duckdb_is_refused(path: Path) -> None:
    a_store(path)
    with (
        duckdb.connect(str(path), config={"threads": 1}),
        pytest.raises(errors.StoreLockedError, match=r"open in this process.*close") as caught,
    ):
        duckstore.open(path)
    assert str(path) in str(caught.value)
    with duckstore.open(path) as store:
        assert store.check() == []


def test_other_settings_for_an_open_store_are_refused(path: Path) -> None:
    with duckstore.open(path) as store:
        with pytest.raises(errors.ArgumentError, match="use the same, or close it first"):
            duckstore.open(path, threads=1)
        with pytest.raises(errors.ArgumentError, match="use the same"):
            duckstore.DuckDBSession("s", path, keep_popped=False)
        store.conversation("s").add([user("one")])
    with duckstore.open(path, threads=1) as store:
        assert store.conversation("s").items() == [user("one")]


@pytest.mark.parametrize(
    "setting", [{"threads": 0}, {"memory_limit": "much"}, {"memory_limit": "1GB'; select 1; --"}]
)
def test_settings_that_duckdb_refuses_are_named(setting: dict[str, Any], path: Path) -> None:
    with pytest.raises(errors.ArgumentError, match="Use a size such as"):
        duckstore.open(path, **setting)
    a_store(path)


# What can be a store ---------------------------------------------------------------------------


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """A temporary file that was made for the store is one."""
    path.touch()
    a_store(path)
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == [user("one"), user("two")]


def test_an_empty_database_becomes_a_store(path: Path) -> None:
    duckdb.connect(str(path)).close()
    a_store(path)
    with duckstore.open(path) as store:
        assert store.check() == []


def test_a_store_with_a_log_beside_it_is_opened(path: Path) -> None:
    """A killed process leaves its log, which the next opening takes in."""
    python(
        "import os, duckstore\n"
        f"store = duckstore.open({str(path)!r})\n"
        "store.conversation('s').add([{'role': 'user', 'content': 'one'}])\n"
        "os._exit(0)\n"
    )
    assert path.with_name(path.name + ".wal").exists()
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == [user("one")]
        assert store.check() == []


def test_memory_stores_are_separate() -> None:
    with duckstore.open() as one, duckstore.open(":memory:") as two:
        one.conversation("s").add([user("one")])
        assert two.conversation("s").items() == []
        assert one.path == ":memory:"
        assert one.check() == two.check() == []


def test_all_paths_to_a_file_lead_to_one_store(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.duckdb").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names: list[Path | str] = [
        path,
        "link.duckdb",
        f"folder/{path.name}",
        f"./{path.name}",
        f"~/{path.name}",
    ]
    stores = [duckstore.open(name) for name in names]
    stores[0].conversation("s").add([user("one")])
    for store in stores:
        assert store.conversation("s").items() == [user("one")]
        assert store.path == str(path)
    for number, store in enumerate(stores):
        assert store.conversation("s").items() == [user("one")], number
        store.close()
    with duckdb.connect(str(path)) as plain:  # the last one let go of the file
        assert plain.execute("select count(*) from item_rows").fetchone() == (1,)


def test_a_file_put_in_the_place_of_an_open_store_is_not_mistaken_for_it(path: Path) -> None:
    """The old store goes on, and the new one waits until it is closed, in every process."""
    with duckstore.open(path) as old:
        old.conversation("s").add([user("old")])
        path.rename(path.with_name("moved.duckdb"))
        with pytest.raises(errors.StoreLockedError, match="close that store first") as caught:
            duckstore.open(path)
        assert f"process {os.getpid()}" in str(caught.value)
        assert not path.exists()
        opening = (
            "import duckstore\n"
            f"try:\n    duckstore.open({str(path)!r})\n"
            "except duckstore.errors.StoreLockedError as error:\n    print(error)"
        )
        assert python(opening) == str(caught.value)
        assert old.conversation("s").items() == [user("old")]
    with duckstore.open(path) as new:
        assert new.conversation("s").items() == []


# Life ------------------------------------------------------------------------------------------


def test_a_store_can_be_closed_twice(path: Path) -> None:
    with duckstore.open(path) as other:
        store = duckstore.open(path)
        store.close()
        store.close()
        other.conversation("s").add([user("one")])  # its own hold was not let go of
        assert other.conversation("s").items() == [user("one")]


def test_a_closed_store_says_so(path: Path) -> None:
    store = duckstore.open(path)
    conversation, session = store.conversation("s"), store.session("s")
    store.close()
    uses: list[Callable[[], object]] = [
        store.check,
        store.sessions,
        store.queries,
        lambda: store.sql("select 1"),
        lambda: store.session("s"),
        lambda: store.purge("s"),
        conversation.items,
        conversation.pop,
        conversation.clear,
        lambda: conversation.add([user("one")]),
        lambda: run(session.get_items()),
        lambda: run(session.add_items([user("one")])),  # type: ignore[list-item]
    ]
    for use in uses:
        with pytest.raises(errors.ClosedError, match="closed") as caught:
            use()
        assert isinstance(caught.value, RuntimeError)
