"""The way back: conversations as JSON lines, Chat Completions messages and a SQLiteSession file."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents.memory import SQLiteSession

import duckstore
from duckstore import Store, errors
from duckstore.transcribing import reading
from duckstore.transcribing.chat import chat_messages
from tests.rich import fill
from tests.samples import RECORDINGS, assistant, call, output, run, user

FORMS = ("export_jsonl", "export_chat", "export_sqlite_session")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Every awkward session, and the recordings where they are to be had."""
    with duckstore.open(tmp_path_factory.mktemp("rich") / "rich.duckdb") as store:
        fill(store)
        for name in ("responses-api", "toolbench", "tau2"):
            if (path := RECORDINGS / f"{name}.jsonl.gz").exists():
                store.import_file(path)
        yield store


def lines(path: Path) -> list[str]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return text.decode().splitlines()


def ids(store: Store) -> list[str]:
    return [session.session_id for session in store.sessions(limit=None)]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_json_lines_come_back_as_the_same_sessions(rich: Store, tmp_path: Path, name: str) -> None:
    """What was imported again is written as the same bytes: trees, branches, usage and times."""
    report = rich.export_jsonl(tmp_path / name)
    assert report.session_count == len(ids(rich))
    assert report.item_count == rich.sql("select count(*) from items").item()
    with duckstore.open(tmp_path / "again.duckdb") as again:
        imported = again.import_file(tmp_path / name)
        assert (imported.session_count, imported.skipped) == (report.session_count, [])
        assert again.check() == []
        again.export_jsonl(tmp_path / f"again-{name}")
        assert sorted(lines(tmp_path / name)) == sorted(lines(tmp_path / f"again-{name}"))
        for session_id in ids(rich):
            expected = rich.conversation(session_id).items()
            assert repr(again.conversation(session_id).items()) == repr(expected), session_id


def test_the_sdk_reads_its_own_file(rich: Store, tmp_path: Path) -> None:
    """SQLiteSession finds each session with the items that our own gives, and can go on."""
    report = rich.export_sqlite_session(tmp_path / "sessions.db")
    assert report.session_count == len(ids(rich))

    async def compare() -> None:
        for session_id in ids(rich):
            session = SQLiteSession(session_id, tmp_path / "sessions.db")
            expected = rich.conversation(session_id).items()
            assert repr(await session.get_items()) == repr(expected), session_id
            await session.add_items([user("and on")])  # type: ignore[list-item]
            assert len(await session.get_items()) == len(expected) + 1
            session.close()

    run(compare())


def test_its_tables_are_those_that_the_sdk_makes(store: Store, tmp_path: Path) -> None:
    """Column by column, with keys and indexes."""
    store.conversation("s").add([user("one")])
    store.export_sqlite_session(tmp_path / "ours.db")
    SQLiteSession("s", tmp_path / "theirs.db").close()
    shapes = []
    for name in ("ours.db", "theirs.db"):
        with sqlite3.connect(tmp_path / name) as connection:
            tables = ("agent_sessions", "agent_messages")
            shapes.append(
                [
                    connection.execute(f"pragma {what}({table})").fetchall()
                    for table in tables
                    for what in ("table_info", "foreign_key_list", "index_list")
                ]
            )

    def plain(shape: object) -> str:
        return str(shape).lower()

    assert plain(shapes[0]) == plain(shapes[1])


def test_chat_messages_of_a_conversation(store: Store, tmp_path: Path) -> None:
    """Calls of one response are one message with what was said before them; outputs follow."""
    store.conversation("s").add(
        [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {
                        "type": "input_image",
                        "image_url": "data:image/png;base64,AA",
                        "detail": "low",
                    },
                ],
            },
            {"type": "reasoning", "id": "r", "summary": []},
            assistant("Looking."),
            call("look", "1", '{"at": 1}'),
            call("look", "2", '{"at": 2}'),
            output("1", "a cat"),
            output("2", "a dog"),
            assistant("Both."),
        ]
    )
    report = store.export_chat(tmp_path / "chat.jsonl")
    (line,) = map(json.loads, lines(tmp_path / "chat.jsonl"))
    assert report.left_out == {"reasoning": 1}
    assert line["session_id"] == "s"

    def called(call_id: str, at: int) -> dict[str, object]:
        function = {"name": "look", "arguments": f'{{"at": {at}}}'}
        return {"id": call_id, "type": "function", "function": function}

    image = {"url": "data:image/png;base64,AA", "detail": "low"}
    assert line["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": image},
            ],
        },
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [called("1", 1), called("2", 2)],
        },
        {"role": "tool", "tool_call_id": "1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "2", "content": "a dog"},
        {"role": "assistant", "content": "Both."},
    ]


def test_what_has_no_place_in_a_chat_is_counted() -> None:
    left_out: Counter[str] = Counter()
    items = [{"type": "web_search_call"}, 5, {"role": "assistant", "content": [{"type": "odd"}]}]
    assert chat_messages(items, left_out) == [{"role": "assistant", "content": None}]
    assert left_out == {"web_search_call": 1, "no object": 1, "odd": 1}


def test_a_chat_can_be_imported_again(rich: Store, tmp_path: Path) -> None:
    """Our own reader takes every line in which something was said."""
    rich.export_chat(tmp_path / "chat.jsonl")
    said = [
        line
        for line in map(json.loads, lines(tmp_path / "chat.jsonl"))
        if any(message["content"] or "tool_calls" in message for message in line["messages"])
    ]
    with duckstore.open(tmp_path / "again.duckdb") as again:
        imported = again.import_file(tmp_path / "chat.jsonl")
        assert imported.format == "chat"
        assert imported.session_count == len(said) > 0


@pytest.mark.parametrize("form", FORMS)
def test_only_some_sessions(store: Store, tmp_path: Path, form: str) -> None:
    for name in ("a", "b", "c"):
        store.conversation(name).add([user(name)])
    seen: list[tuple[int, int]] = []
    report = getattr(store, form)(
        tmp_path / "out",
        sessions=["c", "a"],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (report.session_count, report.item_count) == (2, 2)
    assert seen[-1] == (2, 2)
    with pytest.raises(errors.ArgumentError, match="no session 'x'"):
        getattr(store, form)(tmp_path / "other", sessions=["a", "x"])
    with pytest.raises(errors.ArgumentError, match="list of ids"):
        getattr(store, form)(tmp_path / "other", sessions="a")
    assert [path.name for path in tmp_path.iterdir() if "other" in path.name] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_place_that_cannot_be_written(store: Store, tmp_path: Path, form: str) -> None:
    """A folder that is not there, or a folder in the file's place: nothing is left behind."""
    store.conversation("s").add([user("one")])
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "out", tmp_path / "folder"):
        with pytest.raises(errors.StorePathError, match="cannot be written"):
            getattr(store, form)(path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_file_of_sessions_is_not_replaced(store: Store, tmp_path: Path) -> None:
    """It may hold what the store has not."""
    store.conversation("s").add([user("one")])
    path = tmp_path / "sessions.db"
    store.export_sqlite_session(path)
    before = path.read_bytes()
    with pytest.raises(errors.StorePathError, match="cannot be written"):
        store.export_sqlite_session(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", FORMS)
def test_a_failure_in_the_middle_leaves_what_was_there(
    store: Store, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.conversation("s").add([user("one")])
    path = tmp_path / "out"
    if form != "export_sqlite_session":
        path.write_text("earlier")

    def fail(*_: object) -> Iterator[reading.Told]:
        names = ("title", "user_id", "tags", "source", "created_at", "updated_at")
        yield reading.Told({"session_id": "s", "metadata": "{}", **dict.fromkeys(names, "")})
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reading, "_told", fail)
    with pytest.raises(errors.StorePathError, match="No space left"):
        getattr(store, form)(path)
    kept = ["out"] if form != "export_sqlite_session" else []
    assert [
        p.name for p in tmp_path.iterdir() if p.suffix != ".duckdb" and "duckdb" not in p.name
    ] == kept


def test_many_sessions_are_read_some_at_a_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they were made, each once, whatever their size."""
    monkeypatch.setattr(reading, "CHUNK_ITEMS", 5)
    for number in range(12):
        store.conversation(f"s{number:02}").add(
            [user(f"{number} {n}") for n in range(number % 4 + 1)]
        )
    store.export_jsonl(tmp_path / "out.jsonl")
    found = [json.loads(line) for line in lines(tmp_path / "out.jsonl")]
    assert [line["session_id"] for line in found] == [f"s{number:02}" for number in range(12)]
    assert [len(line["items"]) for line in found] == [number % 4 + 1 for number in range(12)]
