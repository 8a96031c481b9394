"""Files of the SDK's own sessions, written by its own classes."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import Runner, SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession

from duckstore import errors
from duckstore.formats import sqlite_files, sqlite_session
from duckstore.transcript import Transcript
from duckstore.usage import Usage
from tests.formats.reading import parents_of, path_to, read_all, read_one
from tests.runs import QUIET, agent, assistant_message, function_call, step, weather
from tests.samples import assistant, call, output, run, user


def write_sessions(path: Path, conversations: dict[str, list[Any]], **tables: str) -> None:
    for session_id, items in conversations.items():
        session = SQLiteSession(session_id, path, **tables)
        run(session.add_items(items))
        session.close()


def change(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


# SQLiteSession ----------------------------------------------------------------------------------


def test_every_session_of_a_file_arrives_with_its_items(tmp_path: Path) -> None:
    """Value by value and in order, also what few programs carry."""
    odd = {"role": "user", "content": "\ud800\x00é", "n": [2**80, -0.0, 1e308, None, True]}
    conversations = {
        "one": [user("a"), call("find", "c1"), output("c1"), assistant("b"), odd, "loose", 7],
        "two": [user("a")],
        "unbelievably 'quoted\" ; id": [user("x"), assistant("y")],
    }
    write_sessions(tmp_path / "chat.db", conversations)
    transcripts, skipped = read_all(sqlite_session, tmp_path / "chat.db")
    assert skipped == []
    assert {one.session_id: one.items for one in transcripts} == conversations
    assert all(one.parents is None and one.branches == {} for one in transcripts)
    assert {(one.source, one.metadata["file"]) for one in transcripts} == {
        ("sqlite-session", "chat.db")
    }


def test_nan_arrives(tmp_path: Path) -> None:
    write_sessions(tmp_path / "chat.db", {"one": [{"role": "user", "content": math.nan}]})
    assert math.isnan(read_one(sqlite_session, tmp_path / "chat.db").items[0]["content"])


def test_items_have_the_time_at_which_they_were_stored(tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    write_sessions(tmp_path / "chat.db", {"one": [user("a"), assistant("b")]})
    change(
        tmp_path / "chat.db",
        "update agent_messages set created_at = '2024-02-29 23:59:58' where id = 1",
    )
    found = read_one(sqlite_session, tmp_path / "chat.db")
    assert found.created_at is not None
    assert found.created_at[0] == datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)
    assert found.created_at[1] is not None
    assert before <= found.created_at[1] <= datetime.now(UTC)
    assert found.session_created_at is not None
    assert before <= found.session_created_at <= datetime.now(UTC)


def test_thousands_of_items_arrive(tmp_path: Path) -> None:
    items = [user(str(number)) for number in range(5_000)]
    write_sessions(tmp_path / "chat.db", {"long": items})
    assert read_one(sqlite_session, tmp_path / "chat.db").items == items


def test_tables_with_names_of_their_own_are_found(tmp_path: Path) -> None:
    """By their columns; or the options name which of several."""
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user("1")]}, sessions_table="talks", messages_table="lines")
    assert read_one(sqlite_session, path).items == [user("1")]
    write_sessions(path, {"b": [user("2")]}, sessions_table="others", messages_table="more")
    transcripts, _ = read_all(sqlite_session, path)
    assert {one.session_id for one in transcripts} == {"a", "b"}
    found = read_one(sqlite_session, path, sessions_table="others", messages_table="more")
    assert found.session_id == "b"


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_sessions(tmp_path / "chat.db", {"a": [user("1")]})
    with pytest.raises(errors.ImportFileError, match=r"'nowhere'.*agent_sessions and agent_mess"):
        read_all(sqlite_session, tmp_path / "chat.db", messages_table="nowhere")


def test_rows_that_are_no_json_are_left_out_and_told(tmp_path: Path) -> None:
    """As the SDK's session passes over them."""
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user(str(number)) for number in range(4)]})
    change(path, "update agent_messages set message_data = '{\"role\": ' where id = 2")
    change(path, "update agent_messages set message_data = ? where id = 3", b"\xff\x00")
    [found], skipped = read_all(sqlite_session, path)
    assert found.items == [user("0"), user("3")] == run(SQLiteSession("a", path).get_items())
    assert [place for place, _ in skipped] == ["session a, message 2", "session a, message 3"]
    assert "not JSON" in skipped[0][1]


def test_a_text_that_is_no_utf_8_does_not_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user("0"), user("1")], "b": [user("2")]})
    change(path, "update agent_messages set message_data = cast(x'7bff' as text) where id = 1")
    transcripts, skipped = read_all(sqlite_session, path)
    assert [one.items for one in transcripts] == [[user("1")], [user("2")]]
    assert [place for place, _ in skipped] == ["session a, message 1"]


def test_messages_without_a_row_of_their_session_arrive(tmp_path: Path) -> None:
    write_sessions(tmp_path / "chat.db", {"a": [user("1")]})
    change(tmp_path / "chat.db", "delete from agent_sessions")
    assert read_one(sqlite_session, tmp_path / "chat.db").session_id == "a"


# The file ---------------------------------------------------------------------------------------


def test_a_file_that_an_agent_has_open_is_read(tmp_path: Path) -> None:
    """With what stands in its log alone; and the agent can go on writing."""
    session = SQLiteSession("a", tmp_path / "chat.db")
    run(session.add_items([user("1")]))
    assert (tmp_path / "chat.db-wal").stat().st_size > 0
    assert read_one(sqlite_session, tmp_path / "chat.db").items == [user("1")]
    run(session.add_items([user("2")]))
    assert read_one(sqlite_session, tmp_path / "chat.db").items == [user("1"), user("2")]
    session.close()


def test_a_log_that_was_left_over_is_read(tmp_path: Path) -> None:
    session = SQLiteSession("a", tmp_path / "chat.db")
    run(session.add_items([user("1")]))
    (tmp_path / "left").mkdir()
    for name in ("chat.db", "chat.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "left" / name)
    session.close()
    assert read_one(sqlite_session, tmp_path / "left" / "chat.db").items == [user("1")]


def test_reading_leaves_nothing_behind_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user("1")]})
    before = path.read_bytes()
    read_one(sqlite_session, path)
    assert os.listdir(tmp_path) == ["chat.db"]
    assert path.read_bytes() == before


def test_where_sqlite_cannot_open_a_file_a_copy_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder without the right to write; its log is read with it."""
    session = SQLiteSession("a", tmp_path / "chat.db")
    run(session.add_items([user("1")]))
    begin, refused = sqlite_files._begin, []

    def refuse_first(connection: sqlite3.Connection) -> None:
        if not refused:
            refused.append(connection)
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorname = "SQLITE_CANTOPEN"
            raise error
        begin(connection)

    monkeypatch.setattr(sqlite_files, "_begin", refuse_first)
    assert read_one(sqlite_session, tmp_path / "chat.db").items == [user("1")]
    assert refused
    session.close()


def test_a_file_that_is_written_to_while_it_is_read_is_told(tmp_path: Path) -> None:
    """Nobody had it open at the beginning: then it may be read without a lock."""
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user("1")], "b": [user("2")]})

    def change_meanwhile() -> None:
        for _ in sqlite_session.read(path, _Quiet()):
            write_sessions(path, {"c": [user("3")]})

    with pytest.raises(errors.ImportFileError, match="was written to while it was read"):
        change_meanwhile()


class _Quiet:
    def skip(self, place: str, reason: str) -> None:
        raise AssertionError(f"{place}: {reason}")

    def advance(self, done: int) -> None:
        assert done >= 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no SQLite file"),
        (b'{"session_id": 1}\n', "is no SQLite file"),
        (sqlite_files.MAGIC + b"\x00" * 3000, "cannot be read"),
    ],
)
def test_what_is_no_sqlite_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "chat.db"
    path.write_bytes(content)
    with pytest.raises(errors.ImportFileError, match=message):
        read_all(sqlite_session, path)


@pytest.mark.parametrize("rest", [5_000, 100_000, 300_000])
def test_a_file_that_breaks_off_is_an_error_that_says_so(tmp_path: Path, rest: int) -> None:
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user("x" * 9000)] * 50, "b": [user("2")]})
    path.write_bytes(path.read_bytes()[:rest])
    with pytest.raises(errors.ImportFileError, match="malformed"):
        read_all(sqlite_session, path)


def test_of_a_file_with_a_damaged_page_what_is_good_arrives(tmp_path: Path) -> None:
    """The other messages, and the other sessions."""
    path = tmp_path / "chat.db"
    write_sessions(path, {"a": [user("1"), user("x" * 30_000), user("3")], "b": [user("2")]})
    pages = bytearray(path.read_bytes())
    page = pages.index(b"x" * 4092) - 4  # a page of a long text begins with the next one's number
    pages[page : page + 4] = b"\xff" * 4
    path.write_bytes(pages)
    transcripts, skipped = read_all(sqlite_session, path)
    found = {one.session_id: one.items for one in transcripts}
    assert found == {"a": [user("1"), user("3")], "b": [user("2")]}
    [(place, reason)] = skipped
    assert place == "session a, message 2"
    assert "malformed" in reason


def test_other_tables_folders_and_missing_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    change(path, "create table messages (id integer, text text)")
    with pytest.raises(errors.ImportFileError, match="has no tables of the Agents SDK's sessions"):
        read_all(sqlite_session, path)
    with pytest.raises(errors.ImportFileError, match="is a folder"):
        read_all(sqlite_session, tmp_path)
    with pytest.raises(errors.ImportFileError, match="is not there"):
        read_all(sqlite_session, tmp_path / "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


# AdvancedSQLiteSession --------------------------------------------------------------------------


async def five_branches(path: Path) -> tuple[dict[str, list[Any]], dict[str, list[dict[str, Any]]]]:
    """Run an agent on five branches. The items and the usage of each, as the session tells them."""
    session = AdvancedSQLiteSession(session_id="trip", db_path=path, create_tables=True)
    steps = iter(range(1, 100))

    async def ask(question: str, *, with_tool: bool = False) -> None:
        answers = [step(next(steps), assistant_message(f"{question} Yes."))]
        if with_tool:
            made = function_call("weather", '{"city": "Lisbon"}', call_id=f"call {question}")
            answers.insert(0, step(next(steps), made))
        traveller = agent("Traveller", *answers, tools=[weather])
        result = await Runner.run(traveller, question, session=session, run_config=QUIET)
        await session.store_run_usage(result)

    await ask("Rain?", with_tool=True)
    await ask("Wind?")
    await ask("Snow?")
    await session.create_branch_from_turn(2, "calm")
    await ask("Calm?", with_tool=True)
    await session.create_branch_from_turn(2, "calmer")
    await ask("Calmer?")
    await session.switch_to_branch("main")
    await session.create_branch_from_turn(3, "late")
    await session.create_branch_from_turn(1, "fresh")
    await ask("Fresh?")
    await session.switch_to_branch("calm")
    await ask("Still calm?")
    names = [branch["branch_id"] for branch in await session.list_branches()]
    items = {name: list(await session.get_items(branch_id=name)) for name in names}
    usage = {name: await session.get_turn_usage(branch_id=name) for name in names}
    session.close()
    return items, usage  # type: ignore[return-value]


@pytest.fixture(scope="module")
def trip(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Transcript, dict[str, list[Any]], dict[str, list[dict[str, Any]]]]:
    path = tmp_path_factory.mktemp("advanced") / "trip.db"
    items, usage = run(five_branches(path))
    return read_one(sqlite_session, path), items, usage


Trip = tuple[Transcript, dict[str, list[Any]], dict[str, list[dict[str, Any]]]]


def test_every_branch_arrives_with_its_name_and_items(trip: Trip) -> None:
    transcript, items, _ = trip
    assert set(transcript.branches) == {"main", "calm", "calmer", "late", "fresh"}
    assert {name: path_to(transcript, last) for name, last in transcript.branches.items()} == items


def test_what_branches_share_is_there_once(trip: Trip) -> None:
    """The lost parents are found again: four ways go on from one place, and one from nowhere."""
    transcript, items, _ = trip
    texts = [str(item) for item in transcript.items]
    assert len(texts) == len(set(texts)) < sum(map(len, items.values()))
    parents = parents_of(transcript)
    shared = len(items["late"])
    assert path_to(transcript, transcript.branches["late"]) == items["main"][:shared]
    forks = {parent for parent in parents if parents.count(parent) > 1}
    assert len(forks) == 2
    assert parents.count(-1) == 2  # the first question, and the one in its place


def test_the_branch_that_was_written_to_last_is_the_current_one(trip: Trip) -> None:
    transcript, items, _ = trip
    assert path_to(transcript) == items["calm"]


def test_the_usage_of_each_turn_is_on_its_last_response(trip: Trip) -> None:
    """So a branch's own turns have what the session tells of them, and sums are right."""
    transcript, _, usage = trip
    stored = [turn for turns in usage.values() for turn in turns]
    found = [one.usage for one in transcript.responses if one.usage is not None]
    assert len(found) == len(stored) == 7
    total = Usage.sum(found)
    assert total.request_count == sum(turn["requests"] for turn in stored) == 9
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        assert getattr(total, name) == sum(turn[name] for turn in stored)
    assert total.cache_read_input_tokens == sum(
        turn["input_tokens_details"]["cached_tokens"] for turn in stored
    )
    assert total.cache_write_input_tokens > 0
    assert total.reasoning_output_tokens == sum(
        turn["output_tokens_details"]["reasoning_tokens"] for turn in stored
    )
    for response in transcript.responses:
        assert "Yes." in str(transcript.items[response.item_index])


def test_items_of_branches_have_their_times(trip: Trip) -> None:
    transcript, _, _ = trip
    assert transcript.created_at is not None
    ages = [datetime.now(UTC) - at for at in transcript.created_at if at is not None]
    assert len(ages) == len(transcript.items)
    assert all(timedelta(seconds=-1) < age < timedelta(minutes=10) for age in ages)


def test_what_was_popped_from_one_branch_stays_on_another(tmp_path: Path) -> None:
    """Two branches that part in the middle of what they once shared."""

    async def write() -> dict[str, list[Any]]:
        session = AdvancedSQLiteSession(
            session_id="s", db_path=tmp_path / "a.db", create_tables=True
        )
        await session.add_items([user("1"), assistant("2"), user("3")])
        await session.create_branch_from_turn(2, "other")
        await session.pop_item()
        await session.add_items([assistant("two")])
        found = {name: list(await session.get_items(branch_id=name)) for name in ("main", "other")}
        session.close()
        return found

    items = run(write())
    transcript = read_one(sqlite_session, tmp_path / "a.db")
    assert {name: path_to(transcript, end) for name, end in transcript.branches.items()} == items
    assert parents_of(transcript) == [-1, 0, 1, 0]


def test_a_damaged_row_is_told_once_however_many_branches_show_it(tmp_path: Path) -> None:
    async def write() -> None:
        session = AdvancedSQLiteSession(
            session_id="s", db_path=tmp_path / "a.db", create_tables=True
        )
        await session.add_items([user("1"), assistant("2"), user("3")])
        await session.create_branch_from_turn(2, "other")
        await session.add_items([user("4")])
        session.close()

    run(write())
    change(tmp_path / "a.db", "update agent_messages set message_data = '{' where id = 2")
    [found], skipped = read_all(sqlite_session, tmp_path / "a.db")
    assert [place for place, _ in skipped] == ["session s, message 2"]
    assert {name: path_to(found, end) for name, end in found.branches.items()} == {
        "main": [user("1"), user("3")],
        "other": [user("1"), user("4")],
    }


def test_usage_and_messages_that_belong_nowhere_are_told(tmp_path: Path) -> None:
    async def write() -> None:
        session = AdvancedSQLiteSession(
            session_id="s", db_path=tmp_path / "a.db", create_tables=True
        )
        await session.add_items([user("1")])
        session.close()

    run(write())
    change(
        tmp_path / "a.db",
        "insert into turn_usage (session_id, branch_id, user_turn_number, input_tokens)"
        " values ('s', 'main', 1, 5), ('s', 'gone', 1, 6)",
    )
    change(
        tmp_path / "a.db",
        "insert into agent_messages (session_id, message_data) values ('s', '{}')",
    )
    [found], skipped = read_all(sqlite_session, tmp_path / "a.db")
    assert found.items == [user("1")]
    assert {place for place, _ in skipped} == {
        "session s, message 2",
        "session s, branch main, turn 1",
        "session s, branch gone, turn 1",
    }


def test_a_plain_session_in_a_file_of_branches_is_a_plain_session(tmp_path: Path) -> None:
    async def write() -> None:
        session = AdvancedSQLiteSession(
            session_id="branched", db_path=tmp_path / "a.db", create_tables=True
        )
        await session.add_items([user("1")])
        session.close()

    run(write())
    write_sessions(tmp_path / "a.db", {"plain": [user("2"), assistant("3")]})
    transcripts, skipped = read_all(sqlite_session, tmp_path / "a.db")
    assert skipped == []
    assert {one.session_id: (one.items, one.branches) for one in transcripts} == {
        "branched": ([user("1")], {"main": 0}),
        "plain": ([user("2"), assistant("3")], {}),
    }
