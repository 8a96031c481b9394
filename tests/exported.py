"""What tests of exports look at: a store with rows in every relation, and folders as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl

import duckstore
from duckstore import Store
from duckstore.asking import Asking
from duckstore.schema import RELATIONS
from duckstore.telemetry import Seen, SeenCall, SeenGuardrail, SeenOutcome, SeenResponse
from duckstore.usage import Usage
from tests import rich
from tests.clock import Clock
from tests.samples import assistant, call, output, user

PRICE = {"model": "desk-1", "input_price": 2, "output_price": 8}
MOMENT = 1_790_000_000_000_000


def fill(store: Store) -> None:
    """Sessions of every kind, and everything that can be seen of a run beside its items."""
    rich.fill(store)
    store.set_prices([PRICE])
    watched(store, "watched")
    store.conversation("forked").fork("forked elsewhere", at={"position": 1})
    store.conversation("forked elsewhere").add([user("And here?")])
    store.update_session("only a title", title="Nothing said")


def watched(store: Store, session_id: str, word: str = "word") -> None:
    """A session of which everything was seen, with a word in every place for what was said."""
    talk = store.conversation(session_id)
    talk.add([user(f"input {word}")])
    usage = Usage(request_count=1, input_tokens=10, output_tokens=5, total_tokens=15)
    times = {"started_us": MOMENT, "ended_us": MOMENT + 1_500_000}
    seen = Seen(
        agent_name="desk",
        trace_id="trace_9",
        workflow_name="support",
        group_id="group_9",
        is_live=True,
        response=SeenResponse(
            model="desk-1", usage=usage, offered_tools=("find", "tell"), finish_reason="stop"
        ),
        responses=[
            SeenResponse(model="desk-1", error_type="Timeout", error=f"model {word}", parent=0),
            SeenResponse(model="desk-1", usage=usage, **times),
        ],
        calls=[
            SeenCall(
                call_id="c1",
                tool_name="find",
                status="error",
                status_source="hooks",
                error_type="KeyError",
                error=f"tool {word}",
                is_item=True,
                **times,
            ),
            SeenCall(
                call_id="n1",
                tool_name="nested",
                arguments=json.dumps({"nested argument": word}),
                output=f"nested output {word}",
                parent=0,
                **times,
            ),
        ],
        guardrails=[SeenGuardrail("polite", is_triggered=True, agent_name="desk", **times)],
        outcome=SeenOutcome("error", "ModelError", f"outcome {word}", **times),
    )
    talk.add(
        [
            call("find", "c1", json.dumps({"argument": f"{word} é", f"name {word}": [word]})),
            output("c1", f"output {word}"),
            {"type": "reasoning", "id": "r", "summary": [{"text": f"thought {word}"}]},
            {"type": "from_the_future", "text": f"unknown {word}"},
            assistant(f"answer {word}"),
        ],
        seen,
    )
    talk.add([user(f"wrong {word}"), assistant(f"wrong answer {word}")])
    talk.edit(talk.find(f"wrong {word}")[0], f"edited {word}")
    store.update_session(
        session_id, title=f"title {word}", user_id=f"user {word}", metadata={f"key {word}": word}
    )


def spread(store: Store, clock: Clock, months: int, items: int = 3) -> None:
    """One session for each month of 2026, from January on."""
    for month in range(1, months + 1):
        clock.set(datetime(2026, month, 15, 12, tzinfo=UTC))
        store.conversation(f"month {month}").add(
            [user(f"hello {number} of {month}") for number in range(items)]
        )


# Folders -----------------------------------------------------------------------------------------


class Seal(NamedTuple):
    """What tells a file from one that was written since."""

    inode: int
    changed_ns: int
    content: bytes


def seals(folder: Path) -> dict[str, Seal]:
    """Every file of a folder, by its path in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "lock":
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            found[name] = Seal(status.st_ino, status.st_mtime_ns, path.read_bytes())
    return found


def contents(folder: Path) -> dict[str, Any]:
    """What a folder tells: the rows of every file that others read, and the manifest.

    The bytes of two files with the same rows can differ: DuckDB packs rows as they come out of its
    tables, and how they lie there depends on when they were written.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.parquet")):
        if "_duckstore" not in path.parts:
            frame = pl.read_parquet(path, hive_partitioning=False)
            found[path.relative_to(folder).as_posix()] = frame.rows()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for group in ("relations", "tables"):
        for files in manifest[group].values():
            for file in files:
                del file["sha256"], file["byte_count"]
    return found | {"manifest.json": {**manifest, "exported_at": None}}


def changed(before: dict[str, Seal], after: dict[str, Seal]) -> set[str]:
    """Files that others read and that are new, gone or written since."""
    names = {name for name in {*before, *after} if not name.startswith("_duckstore/")}
    return {name for name in names if before.get(name) != after.get(name)}


def relations_of(names: set[str]) -> set[str]:
    """The relations that some paths belong to."""
    return {name.split("/")[0] for name in names} - {"manifest.json"}


def parts(folder: Path, relation: str) -> list[str]:
    """The files of a relation, as they are called in its folder."""
    return sorted(p.relative_to(folder / relation).as_posix() for p in files(folder, relation))


def files(folder: Path, relation: str) -> list[Path]:
    return sorted((folder / relation).rglob("*.parquet"))


def rows(frame: pl.DataFrame) -> list[str]:
    """A frame's rows, whatever their order."""
    return sorted(map(repr, frame.rows()))


def live(store: Asking, relation: str) -> list[str]:
    """The rows of a relation with the types of Parquet, whatever their order."""
    return rows(store.sql(f"from {relation}"))


def stored(folder: Path, relation: str) -> list[str]:
    """The rows of a relation that other tools find in a folder."""
    return rows(pl.read_parquet(folder / relation, hive_partitioning=False))


def session_ids(folder: Path) -> set[str]:
    """The sessions that a folder holds."""
    return set(pl.read_parquet(folder / "sessions", columns=["session_id"])["session_id"])


def assert_is_live(store: Store, folder: Path) -> None:
    """A folder holds just what the store holds."""
    for relation in RELATIONS:
        assert stored(folder, relation) == live(store, relation), relation


def assert_is_sound(store: Store, folder: Path) -> None:
    """The same, whoever reads it, and verifying it finds nothing."""
    assert_is_live(store, folder)
    with duckstore.open_parquet(folder) as archive:
        for relation in RELATIONS:
            assert live(archive, relation) == live(store, relation), relation
    assert store.verify_export(folder) == []


def every_text(folder: Path) -> Iterator[tuple[str, str]]:
    """All that is written in a folder, of Parquet what was compressed, by the path of the file."""
    seen = set()
    for name, seal in seals(folder).items():
        if seal.inode in seen:  # the same file under its other name
            continue
        seen.add(seal.inode)
        yield name, seal.content.decode("latin-1")
        if name.endswith(".parquet"):
            path = str(folder / name)
            yield name, str(duckdb.read_parquet(path, hive_partitioning=False).fetchall())
            told = duckdb.execute("from parquet_metadata(?)", [path]).fetchall()
            yield name, str(told)


def values_of(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a question about an export."""
    with duckstore.open_parquet(folder) as archive:
        return archive.sql(sql).rows()
