"""The command line as a process: imports, streams, signals, terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import duckstore
from tests.samples import assistant, user

LISTING = (
    "import sys, atexit;"
    "atexit.register(lambda: sys.stderr.write(' '.join(sys.modules)));"
    "from duckstore.cli import main;"
    "main()"
)
LONG = "select sum(a.range * b.range) from range(3000000) as a, range(3000000) as b"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("process") / "agents.duckdb"
    with duckstore.open(path) as store:
        store.conversation("greeting").add([user("Hello " * 40), assistant("Good day")])
    return path


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("DUCKSTORE_DB", "NO_COLOR")}
    return kept | {"TERM": "xterm", "COLUMNS": "80"} | more


def program(*arguments: object, **extra: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "duckstore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, env=environment(**extra))


def on_terminal(*arguments: object, **extra: str) -> str:
    """What a command writes where standard output is a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "duckstore", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, env=environment(**extra)
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, b"")
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["info"], ["sessions"], ["show", "greeting"], ["query", "turn_pairs"]),
        *(["sql", "select 1"], ["check"], ["completion", "fish"], ["queries"]),
        *(["branches", "greeting"], ["switch", "greeting", "main"]),
        *(["show", "greeting", "--tree"], ["show", "greeting", "--branch", "main"]),
    ],
)
def test_nothing_heavy_is_imported(filled: Path, arguments: list[str]) -> None:
    """Starting stays quick: neither the SDK nor polars nor pyarrow, nor rich off a terminal."""
    done = subprocess.run(
        [sys.executable, "-c", LISTING, *arguments],
        capture_output=True,
        timeout=60,
        env=environment(DUCKSTORE_DB=str(filled)),
    )
    assert done.returncode == 0
    loaded = set(done.stderr.decode().split())
    assert "click" in loaded
    assert not loaded & {"agents", "openai", "polars", "pyarrow", "pandas", "numpy", "rich"}


def test_data_goes_to_standard_output_and_all_else_to_standard_error(filled: Path) -> None:
    done = program("-d", filled, "check", "--format", "json")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"[]\n", b"no findings\n")
    done = program("-d", filled, "show", "unknown")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"unknown" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["-d", "missing.duckdb", "info"], 1),
        (["-d", ":memory:", "sql", "selec"], 1),
        (["info"], 2),
        (["nonsense"], 2),
        (["query", "nonsense"], 2),
        (["-d", ":memory:", "query", "turn_pairs", "--row-limit", "many"], 2),
        (["--format", "xml", "info"], 2),
        (["-d"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    done = program(*arguments)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert bool(done.stdout) is (code == 0)
    assert bool(done.stderr) is (code != 0)


def test_a_store_that_is_open_elsewhere_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "held.duckdb"
    with duckstore.open(path) as store:
        store.conversation("s").add(["one"])
        done = program("-d", path, "sql", "select count(*) as n from items", "--format", "csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"n\n1\n", b"")


def test_a_store_that_is_kept_by_one_process_is_named_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "held.duckdb"
    with duckstore.open(path, exclusive=True):
        done = program("-d", path, "info")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert str(os.getpid()).encode() in done.stderr


def after_one_line(command: list[str]) -> tuple[int, bytes]:
    """How a program ends whose reader goes after one line: exit code and standard error."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        complaints = process.stderr.read()
    return process.wait(timeout=60), complaints


@pytest.mark.parametrize("style", ["jsonl", "table", "csv"])
def test_a_closed_pipe_ends_quietly(style: str) -> None:
    sql = "select range as n, repeat('x', 100) as words from range(20000)"
    command = [sys.executable, "-m", "duckstore", "-d", ":memory:", "--format", style, "sql", sql]
    assert after_one_line(command) == (0, b"")


def test_ctrl_c_stops_a_long_query_without_a_traceback() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "duckstore", "-d", ":memory:", "sql", LONG]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        # A parent may have it ignored, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    try:
        # The last import before the query runs says that it is about to.
        for line in process.stderr:
            if line.endswith(b" duckstore.rows\n"):
                break
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert output == b""
    assert b"Traceback" not in complaints


def test_a_terminal_gets_colour_and_texts_cut_to_its_width(filled: Path) -> None:
    text = on_terminal("-d", filled, "query", "turn_pairs")
    assert "\x1b[" in text
    assert "…" in text
    plain = on_terminal("-d", filled, "query", "turn_pairs", NO_COLOR="1")
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_a_pipe_gets_whole_texts_without_colour(filled: Path) -> None:
    text = program("-d", filled, "query", "turn_pairs", FORCE_COLOR="1").stdout.decode()
    assert "Hello " * 39 in text
    assert "\x1b" not in text


def test_show_is_the_same_words_on_a_terminal(filled: Path) -> None:
    text = on_terminal("-d", filled, "show", "greeting", NO_COLOR="1")
    assert "\x1b" not in text
    piped = program("-d", filled, "show", "greeting").stdout.decode()
    assert text.split() == piped.split()
    assert "\x1b[" in on_terminal("-d", filled, "show", "greeting")


def test_output_is_utf_8_whatever_the_locale() -> None:
    done = program(
        "-d", ":memory:", "--format", "csv", "sql", "select 'é→'", PYTHONIOENCODING="ascii"
    )
    assert done.stdout.decode().endswith("é→\n")
