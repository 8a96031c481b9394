"""`Store.import_file`: from files of any format into a store, again and again, all or nothing."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import errors
from duckstore.importing import driver
from duckstore.importing.report import Skipped
from tests.owner import environment
from tests.processes import ROOT
from tests.samples import assistant, call, output, user

TALK = [user("one"), assistant("1"), user("two"), assistant("2")]


def write(path: Path, *lines: Any) -> Path:
    """A file of JSON lines; a text stands as it is."""
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def conversation(name: str, items: list[Any] = TALK, **facts: Any) -> dict[str, Any]:
    return {"session_id": name, "items": items, **facts}


def counts(report: Any) -> tuple[int, int, int, int]:
    return (
        *(report.session_count, report.grown_count, report.unchanged_count),
        report.item_count,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "talks.jsonl"


# Again and grown -------------------------------------------------------------------------------


def test_importing_again_changes_nothing_and_grown_adds_what_is_new(
    store: duckstore.Store, file: Path
) -> None:
    """The report counts what is new, grown and unchanged; who has nothing new writes nothing."""
    write(file, conversation("a"), conversation("b", TALK[:2]), conversation("c"))
    assert counts(store.import_file(file)) == (3, 0, 0, 10)
    number = store._access.engine._number
    assert counts(store.import_file(file)) == (0, 0, 3, 0)
    assert store._access.engine._number == number
    write(file, conversation("a"), conversation("b"), conversation("d"))
    report = store.import_file(file)
    assert counts(report) == (1, 1, 1, 6)
    assert (report.format, report.skipped) == ("jsonl", [])
    assert store.conversation("b").items() == TALK
    assert store.check() == []


def test_usage_that_is_told_later_is_added(store: duckstore.Store, file: Path) -> None:
    """To responses of which nothing is known; that counts as grown, once."""
    usage = [{"input_tokens": 5, "output_tokens": 1}] * 2
    store.import_file(write(file, conversation("a")))
    write(file, conversation("a", usage=usage))
    assert counts(store.import_file(file, dry_run=True)) == (0, 1, 0, 0)
    assert counts(store.import_file(file)) == (0, 1, 0, 0)
    assert counts(store.import_file(file)) == (0, 0, 1, 0)
    assert store._access.rows("select sum(input_tokens)::int from responses").rows == [(10,)]


def test_a_session_that_agents_wrote_is_found_again(store: duckstore.Store, file: Path) -> None:
    """Its items are compared by their content, whoever stored them."""
    store.conversation("a").add(TALK[:2])
    assert counts(store.import_file(write(file, conversation("a")))) == (0, 1, 0, 2)
    assert store.conversation("a").items() == TALK
    assert store.check() == []


def test_several_conversations_of_one_id_in_one_import(store: duckstore.Store, file: Path) -> None:
    """What they share is there once: they are copies of each other that went on differently."""
    other = [*TALK[:2], user("else")]
    lines = (conversation("a", TALK[:3]), conversation("a", TALK[:1]), conversation("a", other))
    write(file, *lines, conversation("a"))
    for dry_run in (True, False):
        report = store.import_file(file, dry_run=dry_run)
        assert counts(report) == (1, 2, 1, 5)
        assert report.skipped == []
    assert store._access.rows("select count(*) from items").rows == [(5,)]
    assert store.check() == []


# Conflicts -------------------------------------------------------------------------------------


def test_another_conversation_of_the_same_id_is_left_out_and_told(
    store: duckstore.Store, file: Path
) -> None:
    """Whether it was in the store before or stands in the same file."""
    store.conversation("a").add([user("mine")])
    write(file, conversation("a"), conversation("b"), conversation("b", [user("other")]))
    for dry_run in (True, False):
        report = store.import_file(file, dry_run=dry_run)
        assert counts(report) == (1, 0, 0, 4)
        assert [place for place, _ in report.skipped] == ["line 1", "line 3"]
        assert all("another conversation" in reason for _, reason in report.skipped)
    assert store.conversation("a").items() == [user("mine")]
    assert store.conversation("b").items() == TALK


@pytest.mark.parametrize("is_client", [False, True])
def test_conflicts_are_renamed_to_the_next_free_name(
    is_client: bool, file: Path, request: pytest.FixtureRequest
) -> None:
    """The same content finds the name that it got, also when it has grown."""
    store = request.getfixturevalue("client" if is_client else "store")
    third = [user("third"), assistant("3")]
    write(
        file,
        *(conversation("a"), conversation("a", [user("other")]), conversation("a", third[:1])),
        conversation("a~2", [user("is there")]),
    )
    assert counts(store.import_file(file, on_conflict="rename", dry_run=True)) == (4, 0, 0, 7)
    assert counts(store.import_file(file, on_conflict="rename")) == (4, 0, 0, 7)
    expected = {
        "a": TALK,
        "a~2": [user("other")],
        "a~3": third[:1],
        "a~2~2": [user("is there")],
    }
    found = {
        info.session_id: store.conversation(info.session_id).items() for info in store.sessions()
    }
    assert found == expected
    assert counts(store.import_file(file, on_conflict="rename")) == (0, 0, 4, 0)
    write(file, conversation("a", third))
    assert counts(store.import_file(file, on_conflict="rename")) == (0, 1, 0, 1)
    assert store.conversation("a~3").items() == third
    assert store.check() == []


# Dry and strict --------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(path: Path, file: Path) -> None:
    """It tells what the import then does; not a byte is changed, and reading is enough."""
    write(file, conversation("a"), conversation("b"), "no json")
    with duckstore.open(path) as store:
        store.import_file(write(file.with_name("first.jsonl"), conversation("a", TALK[:1])))
    before = path.read_bytes()
    with duckstore.open(path, read_only=True) as store:
        would = store.import_file(file, dry_run=True)
        with pytest.raises(errors.StoreReadOnlyError):
            store.import_file(file)
    assert path.read_bytes() == before
    with duckstore.open(path) as store:
        assert store.import_file(file) == would
    assert counts(would) == (1, 1, 0, 7)


@pytest.mark.parametrize(
    "bad",
    [
        "no json",
        '{"items": 5}',
        '{"session_id": "b", "items": [1]}',
        '{"items": [1],"parents":[3]}',
    ],
)
def test_a_strict_import_takes_all_or_nothing(bad: str, store: duckstore.Store, file: Path) -> None:
    """What is there already is no reason not to; the error names what is."""
    store.import_file(write(file, conversation("a"), conversation("b")))
    write(file, conversation("a"), conversation("new"), bad)
    with pytest.raises(errors.ImportFileError, match="line 3: "):
        store.import_file(file, strict=True)
    assert store.conversation("new").items() == []
    write(file, conversation("a"), conversation("new"))
    with pytest.raises(errors.ImportFileError):
        store.import_file(write(file.with_name("x.jsonl"), bad), strict=True, dry_run=True)
    assert counts(store.import_file(file, strict=True)) == (1, 0, 1, 4)


# Files and folders -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of three formats in folders, one that cannot be read, and two that are no one's."""
    root = tmp_path / "folder"
    (root / "deep" / "er").mkdir(parents=True)
    write(root / "b.jsonl", conversation("b"))
    write(root / "deep" / "a.jsonl", conversation("a"), "no json")
    write(root / "deep" / "er" / "chat.jsonl", {"id": "c", "messages": [user("hello")]})
    write(root / "notes.txt", "nothing that anybody knows")
    (root / "empty").write_bytes(b"")
    (root / "deep" / "z.jsonl.gz").write_bytes(
        gzip.compress(json.dumps(conversation("z")).encode())
    )
    return root


def test_a_folder_is_read_file_by_file(store: duckstore.Store, folder: Path) -> None:
    """Sorted, each in its format; what nobody knows is left alone and told."""
    report = store.import_file(folder)
    found = [(Path(f.path).name, f.format, f.session_count, f.item_count) for f in report.files]
    assert found == [
        *(("b.jsonl", "jsonl", 1, 4), ("a.jsonl", "jsonl", 1, 4), ("z.jsonl.gz", "jsonl", 1, 4)),
        ("chat.jsonl", "chat", 1, 1),
    ]
    assert counts(report) == (4, 0, 0, 13)
    assert report.format == "jsonl, chat"
    assert sorted(Path(name).name for name in report.ignored) == ["empty", "notes.txt"]
    ((place, reason),) = report.skipped
    assert place == f"{folder / 'deep' / 'a.jsonl'}, line 2"
    assert reason.startswith("not JSON")
    assert store.check() == []


def test_of_a_folder_only_the_files_of_a_format(store: duckstore.Store, folder: Path) -> None:
    report = store.import_file(folder, format="chat")
    assert [Path(file.path).name for file in report.files] == ["chat.jsonl"]
    with pytest.raises(errors.ImportFileError, match="no file of the format chatgpt"):
        store.import_file(folder, format="chatgpt")


def test_a_file_of_a_folder_that_cannot_be_read_does_not_keep_the_others_out(
    store: duckstore.Store, folder: Path
) -> None:
    """It is told with its reason; a strict import takes nothing then."""
    (folder / "a-link.jsonl").symlink_to(folder / "nowhere")
    with pytest.raises(errors.ImportFileError, match="a-link"):
        store.import_file(folder, strict=True)
    report = store.import_file(folder)
    ((path, reason),) = [(file.path, file.error) for file in report.files if file.error]
    assert Path(path).name == "a-link.jsonl"
    assert "not there" in str(reason)
    assert counts(report) == (4, 0, 0, 13)


def test_the_progress_is_told_in_bytes(store: duckstore.Store, folder: Path) -> None:
    """It grows up to the size of all files that are read, twice as much where it is strict."""
    (folder / "deep" / "a.jsonl").unlink()
    names = ("b.jsonl", "deep/z.jsonl.gz", "deep/er/chat.jsonl")
    size = sum((folder / name).stat().st_size for name in names)
    for strict in (False, True):
        told: list[tuple[int, int]] = []
        store.import_file(
            folder, strict=strict, progress=lambda *both, told=told: told.append(both)
        )
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert {total for _, total in told} == {size * (1 + strict)}
        assert told[-1][0] == size * (1 + strict)
    told_bytes: list[int] = []
    store.import_jsonl(folder / "b.jsonl", progress=told_bytes.append)
    assert told_bytes[-1] == (folder / "b.jsonl").stat().st_size


# Bad input -------------------------------------------------------------------------------------


def test_what_is_good_of_a_damaged_file_is_taken(store: duckstore.Store, file: Path) -> None:
    """Each thing that is left out is told with its line and the reason."""
    write(
        file,
        conversation("a"),
        "[1, 2",
        {"items": "none"},
        17,
        {"session_id": "empty", "items": []},
        {"session_id": "x" * 10 + "\ud800", "items": [1]},
        conversation("b", parents=[-1, 0, 5, 2]),
        conversation("c", parents=[-1]),
        conversation("deep", [json.loads("[" * 600 + "]" * 600)]),
        conversation("d"),
        '{"session_id": "half", "items": [{"role": "us',
    )
    report = store.import_file(file)
    assert {info.session_id for info in store.sessions()} == {"a", "d"}
    assert [int(place.removeprefix("line ")) for place, _ in report.skipped] == [
        *(2, 3, 4, 5, 6, 7, 8, 9, 11)
    ]
    assert all(reason for _, reason in report.skipped)
    assert store.check() == []


def test_keys_that_make_no_sense_are_left_out_alone(store: duckstore.Store, file: Path) -> None:
    """The conversation is taken without them, and each is told."""
    nonsense = {
        "title": 5,
        "tags": "x",
        "user_id": [],
        "created_at": ["yesterday", None, None, None],
        "agent_names": ["a"],
        "responses": [{"item_index": 77}, "x"],
        "branches": {"b": -2},
        "last_index": "end",
        "meta": 3,
        "source": False,
        "session_created_at": "once",
    }
    report = store.import_file(write(file, conversation("a", **nonsense)))
    assert counts(report) == (1, 0, 0, 4)
    told = " ".join(reason for _, reason in report.skipped)
    for key in nonsense.keys() - {"session_created_at"}:
        assert f"without its {key}:" in told
    assert store.check() == []


def test_numbers_that_no_column_holds(store: duckstore.Store, file: Path) -> None:
    """They neither close the relation nor keep the store from being opened."""
    huge = [{"input_tokens": 10**30, "output_tokens": -5}, {"input_tokens": True}]
    facts = {"created_at": ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", None, None]}
    store.import_file(write(file, conversation("a", usage=huge, meta={"n": 10**40}, **facts)))
    assert len(store._access.rows("select * from responses").rows) == 2
    assert store.check() == []


@pytest.mark.slow  # half a minute: the item is written, encoded, stored and compared
def test_a_line_of_200_mb_is_a_conversation(store: duckstore.Store, file: Path) -> None:
    """What stands around it is not touched by it, and it is found again."""
    large = [user("x" * 200_000_000), assistant("y")]
    write(file, conversation("a"), conversation("large", large), conversation("b"))
    assert counts(store.import_file(file)) == (3, 0, 0, 10)
    assert counts(store.import_file(file)) == (0, 0, 3, 0)
    assert store.conversation("large").items() == large


@pytest.mark.parametrize(
    "kind", ["missing", "pipe", "device", "folder", "empty", "foreign", "wrong"]
)
def test_what_cannot_be_read_at_all_is_one_clear_error(
    kind: str, store: duckstore.Store, tmp_path: Path
) -> None:
    """Nothing is stored, and nothing hangs."""
    place = tmp_path / "thing.jsonl"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place = Path("/dev/zero")
    elif kind == "folder":
        place.mkdir()
    elif kind == "empty":
        place.write_bytes(b"")
    elif kind == "foreign":
        place.write_bytes(os.urandom(1000))
    elif kind == "wrong":
        write(place, {"messages": [user("x")]})
    formats = [None, "jsonl", "chat", "chatgpt", "sqlite-session"]
    for name in formats[1:] if kind == "wrong" else formats:
        if (kind, name) == ("wrong", "chat"):
            continue
        with pytest.raises(errors.ImportFileError, match=r"thing|zero"):
            store.import_file(place, format=name)
    assert store.sessions() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_rights(store: duckstore.Store, file: Path) -> None:
    write(file, conversation("a")).chmod(0)
    with pytest.raises(errors.ImportFileError, match="rights"):
        store.import_file(file)


def test_arguments_that_make_no_sense(store: duckstore.Store, file: Path) -> None:
    write(file, conversation("a"))
    for arguments, named in (
        ({"format": "yaml"}, "yaml.*jsonl"),
        ({"on_conflict": "merge"}, "merge.*rename"),
        ({"messages_table": "x"}, "jsonl has no option 'messages_table'"),
        ({"format": "sqlite-session", "table": "x"}, "table.*messages_table"),
    ):
        with pytest.raises(errors.ArgumentError, match=named):
            store.import_file(file, **arguments)  # type: ignore[arg-type]
    assert store.sessions() == []


# Two at once, killed ---------------------------------------------------------------------------

IMPORTER = """
import sys, duckstore
with duckstore.open(sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    report = store.import_file(sys.argv[2])
    print(report.session_count, report.item_count, len(report.skipped), flush=True)
"""


def importer(path: Path, file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTER, str(path), str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def many(file: Path, session_count: int) -> list[dict[str, Any]]:
    items = [user("go"), call("find", "c"), output("c"), assistant("x" * 200)]
    lines = [
        conversation(f"s{n}", [{**items[0], "n": n}, *items[1:]] * 3) for n in range(session_count)
    ]
    write(file, *lines)
    return lines


def test_two_imports_of_one_file_at_once_are_as_one(path: Path, file: Path) -> None:
    """In two processes, one of which has the store: each session and item is there once."""
    lines = many(file, 150)
    processes = [importer(path, file) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(int(sessions) for sessions, _, _ in told) == 150
    assert sum(int(items) for _, items, _ in told) == 150 * 12
    with duckstore.open(path) as store:
        assert store._access.rows(
            "select count(*), count(distinct session_id) from items"
        ).rows == [(1800, 150)]
        for line in lines[::50]:
            assert store.conversation(line["session_id"]).items() == line["items"]
        assert store.check() == []


KILLED = """
import os, signal, sys, duckstore
from duckstore import faults
from duckstore.importing import sending

sending.MOST_BYTES = 20_000  # many groups in the journal
left = int(sys.argv[4])

def count(step):
    global left
    left -= step == sys.argv[3]
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with duckstore.open(sys.argv[1]) as store:
    faults.observe(count)
    store.import_file(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("step", "number"), [("journal.write", 20), ("fold.append", 1), ("fold.committed", 1)]
)
def test_an_import_that_was_killed_is_gone_on_with(
    step: str, number: int, path: Path, file: Path
) -> None:
    """No session is there in part; the same import again brings the rest."""
    lines = {line["session_id"]: line["items"] for line in many(file, 400)}
    arguments = [str(path), str(file), step, str(number)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, env=environment())
    assert done.returncode == -signal.SIGKILL
    with duckstore.open(path) as store:
        before = {info.session_id for info in store.sessions(limit=None)}
        assert 0 < len(before) < 400
        for session_id in sorted(before)[::20]:
            assert store.conversation(session_id).items() == lines[session_id]
        report = store.import_file(file)
        assert counts(report) == (400 - len(before), 0, len(before), 12 * (400 - len(before)))
        assert store._access.rows("select count(*) from items").rows == [(4800,)]
        assert store.check() == []


def test_agents_go_on_while_an_import_is_at_work(store: duckstore.Store, file: Path) -> None:
    """What they add is acknowledged meanwhile, and is in the conversations as it was said."""
    many(file, 300)
    done = threading.Event()
    worst = 0.0
    added = 0

    def add() -> None:
        nonlocal worst, added
        while not done.is_set():
            start = time.monotonic()
            store.conversation("live").add([user(str(added))])
            worst = max(worst, time.monotonic() - start)
            added += 1

    thread = threading.Thread(target=add)
    thread.start()
    report = store.import_file(file)
    done.set()
    thread.join()
    assert report.session_count == 300
    assert added > 10
    assert worst < 2
    assert store.conversation("live").items() == [user(str(number)) for number in range(added)]
    assert store.check() == []


def test_conversations_are_compared_some_at_a_time(
    store: duckstore.Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever one group ends and the next begins."""
    monkeypatch.setattr(driver, "CHUNK_SESSIONS", 2)
    write(file, *(conversation(f"s{number % 3}", TALK[: 1 + number % 4]) for number in range(11)))
    store.import_file(file)
    assert counts(store.import_file(file)) == (0, 0, 11, 0)
    assert store._access.rows("select count(*) from items").rows == [(11,)]


def test_a_report_of_several_files_names_them(tmp_path: Path) -> None:
    """A skip says in which file it is only where there is more than one."""
    one = duckstore.importing.FileReport("a", "jsonl", skipped=[Skipped("line 1", "bad")])
    assert duckstore.importing.ImportReport([one]).skipped == [("line 1", "bad")]
    two = duckstore.importing.FileReport("b", "chat", skipped=[Skipped("line 2", "worse")])
    report = duckstore.importing.ImportReport([one, two])
    assert report.skipped == [("a, line 1", "bad"), ("b, line 2", "worse")]
