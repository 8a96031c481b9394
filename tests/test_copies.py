"""Backups and rewritten files hold what the store held, and are made while it is in use."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import duckdb
import pytest

import duckstore
from duckstore import errors
from duckstore.schema import RELATIONS
from tests.rich import fill
from tests.samples import user


def contents(store: duckstore.Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every relation."""
    return {name: sorted(store.sql(f"from {name}").rows(), key=repr) for name in RELATIONS}


def test_a_backup_is_the_store_as_it_was(store: duckstore.Store, tmp_path: Path) -> None:
    """Every relation is equal, and each of the two goes its own way afterwards."""
    fill(store)
    before = contents(store)
    store.backup(tmp_path / "copy.duckdb")
    store.conversation("later").add([user("only in the first")])
    with duckstore.open(tmp_path / "copy.duckdb") as copy:
        assert contents(copy) == before
        copy.conversation("other").add([user("only in the copy")])
        assert copy.check() == []
    assert [s.session_id for s in store.sessions(search="copy")] == []
    assert (tmp_path / "copy.duckdb").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_takes_the_place_of_a_lost_file(path: Path, tmp_path: Path) -> None:
    """Restored under the old name, even beside the remains of the lost one, nothing is mixed."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
        store.backup(tmp_path / "copy.duckdb")
        store.conversation("s").add([user("two")])
    path.unlink()
    (tmp_path / "copy.duckdb").rename(path)
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == [user("one")]
        store.conversation("s").add([user("three")])
        assert store.conversation("s").items() == [user("one"), user("three")]
        assert store.check() == []


def test_a_backup_beside_writers_is_one_consistent_state(path: Path, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            for name in ("a", "b"):
                store.conversation(name).add([user(str(number)), user(str(number))])

    with duckstore.open(path) as store:
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(4):
                target = tmp_path / f"copy{number}.duckdb"
                store.backup(target)
                with duckstore.open(target) as copy:
                    lengths = [len(copy.conversation(name).items()) for name in ("a", "b")]
                    assert lengths[0] - lengths[1] in (0, 2)
                    assert copy.check() == []
        finally:
            done.set()
            writer.join()


def test_a_backup_never_writes_over_a_file(store: duckstore.Store, tmp_path: Path) -> None:
    taken = tmp_path / "taken.duckdb"
    taken.write_text("mine")
    with pytest.raises(errors.StorePathError, match="is there already"):
        store.backup(taken)
    assert taken.read_text() == "mine"
    with pytest.raises(errors.StorePathError, match="failed"):
        store.backup(tmp_path / "missing" / "copy.duckdb")
    assert store.check() == []


WORDS = "a sentence that nobody may read again"


def fill_and_purge(store: duckstore.Store) -> None:
    """Many sessions of which none is left."""
    for number in range(300):
        store.conversation(f"big {number}").add([user(f"{WORDS} {os.urandom(2000).hex()}")])
    store.sql("select 1")
    for number in range(300):
        store.purge(f"big {number}")


def test_compaction_takes_the_bytes_of_what_was_purged(path: Path) -> None:
    """What is left is equal in every relation, and sessions go on as they were."""
    with duckstore.open(path) as store:
        fill(store)
        fill_and_purge(store)
        kept = contents(store)
        engine = store._access.engine
        engine._folding.run(engine._folding.upkeep.merge)  # what the log has is in no size
        before, after = store.compact()
        assert after <= before
        assert path.stat().st_size == after
        assert contents(store) == kept
        store.conversation("orders").add([user("and now?")])
        assert store.conversation("orders").items()[-1] == user("and now?")
        assert store.check() == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert WORDS.encode() not in path.read_bytes()
    with duckstore.open(path) as store:
        assert store.conversation("orders").items()[-1] == user("and now?")
        assert store.check() == []


@pytest.mark.slow
def test_space_of_deleted_rows_is_used_again(path: Path) -> None:
    """A store that is filled and purged again and again does not grow."""
    with duckstore.open(path) as store:
        engine = store._access.engine
        sizes = []
        for _ in range(4):
            fill_and_purge(store)
            engine._folding.run(engine._folding.upkeep.merge)
            sizes.append(path.stat().st_size)
    assert sizes[-1] <= 2 * sizes[0]


def test_compaction_beside_writers_and_readers_loses_nothing(path: Path) -> None:
    done = threading.Event()
    counts: list[int] = []

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            store.conversation("s").add([user(str(number))])
        counts.append(number)

    def read() -> None:
        while not done.is_set():
            found = store.sql("select count(*) as n, max(position) as last from items")
            assert found["n"][0] == (found["last"][0] or 0)

    with duckstore.open(path) as store:
        threads = [threading.Thread(target=work) for work in (write, read)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                store.compact()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        expected = [user(str(number)) for number in range(1, counts[0] + 1)]
        assert store.conversation("s").items() == expected
        assert store.check() == []
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == expected


def test_compaction_of_a_store_in_memory_does_nothing() -> None:
    with duckstore.open() as store:
        store.conversation("s").add([user("one")])
        assert store.compact() == (0, 0)
        assert store.conversation("s").items() == [user("one")]


def test_a_file_keeps_its_rights_when_it_is_rewritten(path: Path) -> None:
    duckstore.open(path).close()
    path.chmod(0o640)
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
        store.compact()
        assert path.stat().st_mode & 0o777 == 0o640


def test_older_tools_can_read_what_a_rewriting_makes(path: Path) -> None:
    """The new file has the storage version of the old one."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
        store.compact()
    with duckdb.connect(str(path), read_only=True) as plain:
        (tags,) = plain.execute(
            "select tags from duckdb_databases() where not internal"
        ).fetchall()[0]
    assert "v1.5.0" in str(tags)
