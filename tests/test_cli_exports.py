"""The command `export`: what it says, what it writes, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import duckstore
from duckstore.cli import ExitCode, cli
from duckstore.schema import RELATIONS
from tests.exported import assert_is_live, fill, parts, seals, session_ids, stored, values_of
from tests.samples import user
from tests.test_cli_process import environment


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "agents.duckdb"
    with duckstore.open(path) as store:
        fill(store)
        store.conversation("private").add([user("Write to ada@example.org, 4111111111111111.")])
    return path


@pytest.fixture
def agents(made: Path, path: Path) -> Path:
    shutil.copy(made, path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def call(path: Path, *arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["-d", str(path), *map(str, arguments)])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def done(path: Path, *arguments: object) -> Result:
    result = call(path, *arguments)
    assert result.exit_code == 0, result.stderr
    return result


def test_what_was_written_is_told(agents: Path, out: Path) -> None:
    """A row for each relation as data; sessions and files on standard error."""
    result = done(agents, "--format", "json", "export", out)
    rows = json.loads(result.stdout)
    assert [row["relation"] for row in rows] == list(RELATIONS)
    for row in rows:
        assert row["folder"] == str(out / row["relation"])
        assert row["row_count"] == len(stored(out, row["relation"]))
    assert "12 sessions; " in result.stderr
    again = done(agents, "export", out)
    assert "sessions; 0 files written, " in again.stderr
    with duckstore.open(agents) as store:
        assert_is_live(store, out)


@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json", "jsonl"])
def test_the_report_has_every_form(style: str, agents: Path, out: Path) -> None:
    told = done(agents, "--format", style, "export", out).stdout
    count = len(stored(out, "items"))
    if style == "csv":
        assert next(r for r in csv.DictReader(io.StringIO(told)) if r["relation"] == "items")[
            "row_count"
        ] == str(count)
    elif style in ("json", "jsonl"):
        rows = json.loads(told) if style == "json" else list(map(json.loads, told.splitlines()))
        assert [row["row_count"] for row in rows if row["relation"] == "items"] == [count]
    else:
        (line,) = [line for line in told.splitlines() if line.strip("| ").startswith("items")]
        assert str(count) in line


@pytest.mark.parametrize(
    ("by", "place"), [("day", "day="), ("month", "month="), ("year", "year="), ("none", "part-")]
)
def test_partitions(by: str, place: str, agents: Path, out: Path) -> None:
    done(agents, "export", out, "--partition-by", by)
    assert all(name.startswith(place) for name in parts(out, "runs"))


def test_sessions_are_chosen(agents: Path, out: Path) -> None:
    """By their ids, and by when something of them was last changed."""
    done(agents, "export", out, "--session", "orders", "--session", "edited")
    assert session_ids(out) == {"orders", "edited"}
    for moment in ("2000-01-01", "2000-01-01T10:00:00", "2000-01-01T10:00:00+0200"):
        done(agents, "export", out, "--since", moment)
        assert len(session_ids(out)) == 12
    done(agents, "export", out, "--since", "2999-01-01 00:00:00", "--session", "orders")
    assert session_ids(out) == set()
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["selection"]["since"] == "2999-01-01T00:00:00+00:00"
    result = call(agents, "export", out, "--session", "nobody")
    assert (result.exit_code, "no session 'nobody'" in result.stderr) == (ExitCode.FAILURE, True)


def test_content_is_left_out(agents: Path, out: Path) -> None:
    """All of it, or what looks like something."""
    sql = "select text from items where session_id = 'private'"
    done(agents, "export", out, "--no-text")
    ((text,),) = values_of(out, sql)
    assert text.endswith(":43")
    done(agents, "export", out, "--redact", "email")
    ((text,),) = values_of(out, sql)
    assert "[email " in text
    assert "4111" in text
    done(agents, "export", out, "--redact", "all")
    ((text,),) = values_of(out, sql)
    assert "[email " in text
    assert "[card " in text
    result = call(agents, "export", out, "--no-text", "--redact", "all")
    assert (result.exit_code, "one of the two" in result.stderr) == (ExitCode.FAILURE, True)


def test_verify_tells_by_its_exit_code(agents: Path, out: Path) -> None:
    """0 where folder and store agree; 1 with what does not, as rows; 1 where there is no export."""
    result = call(agents, "export", out, "--verify")
    assert (result.exit_code, result.stdout) == (ExitCode.FAILURE, "")
    assert "has no manifest.json" in result.stderr
    assert not out.exists()
    done(agents, "export", out)
    before = seals(out)
    result = done(agents, "export", out, "--verify")
    assert (result.stdout, result.stderr) == ("", "the folder and the store agree\n")
    with duckstore.open(agents) as store:
        store.conversation("new").add([user("one")])
    result = call(agents, "--format", "json", "export", out, "--verify")
    assert result.exit_code == ExitCode.FAILURE
    assert {row["relation"] for row in json.loads(result.stdout)} == {"sessions"}
    assert seals(out) == before


def test_foreign_files_are_told(agents: Path, out: Path) -> None:
    done(agents, "export", out)
    (out / "runs" / "notes.txt").write_text("mine")
    result = done(agents, "export", out)
    assert "runs/notes.txt is no file of the export" in result.stderr
    assert (out / "runs" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--partition-by", "week"], "Invalid value for '--partition-by'"),
        (["--since", "yesterday"], "Invalid value for '--since'"),
        (["--redact", "names"], "Invalid value for '--redact'"),
        (["--follow", "0"], "Invalid value for '--follow'"),
        (["--follow", "often"], "Invalid value for '--follow'"),
        (["--format", "xlsx"], "Invalid value for '--format'"),
        (["--verify", "--follow", "1"], "--follow is for writing"),
        (["--verify", "--session", "orders"], "--session is for writing"),
        (["--verify", "--partition-by", "month"], "--partition-by is for writing"),
        *(
            (["--format", kind, *option], f"{option[0]} is for --format parquet, not for {kind}")
            for kind in ("jsonl", "chat", "sqlite-session")
            for option in (
                ["--since", "2026-01-01"],
                ["--partition-by", "day"],
                ["--no-text"],
                ["--redact", "all"],
                ["--follow", "2"],
                ["--verify"],
            )
        ),
    ],
)
def test_options_that_make_no_sense(
    arguments: list[str], words: str, agents: Path, out: Path
) -> None:
    """The wrong one is named, with exit code 2, and nothing is written."""
    result = call(agents, "export", out, *arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert words in result.stderr
    assert not out.exists()


def test_bad_targets(agents: Path, tmp_path: Path) -> None:
    """A file, somebody else's folder, a store that is not there: a line that says so."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "manifest.json").write_text('{"name": "app"}')
    for target in ("file", "file/below", "page"):
        result = call(agents, "export", tmp_path / target)
        assert (result.exit_code, result.stdout) == (ExitCode.FAILURE, "")
        assert str(tmp_path / target) in result.stderr
        assert result.stderr.count("\n") == 1
    result = call(tmp_path / "missing.duckdb", "export", tmp_path / "out")
    assert result.exit_code == ExitCode.FAILURE
    assert "missing.duckdb" in result.stderr
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(cli, ["-d", str(agents), "export"])
    assert (result.exit_code, "Missing argument 'TARGET'" in result.stderr) == (2, True)


def test_follow_goes_on_until_ctrl_c(agents: Path, out: Path) -> None:
    """What is written meanwhile is exported; what cannot be is told, and tried again."""
    command = [sys.executable, "-m", "duckstore", "-d", str(agents), "export", str(out)]
    process = subprocess.Popen(
        [*command, "--follow", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # A parent may have it ignored, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr)
        wait_for_line(lines, "Following ")
        with duckstore.open(agents) as store:
            store.conversation("new").add([user("one")])
            wait_for_line(lines, "files written")
            assert "new" in session_ids(out)
            (out / "manifest.json").rename(out / "aside")
            (out / "manifest.json").write_text("{}")
            wait_for_line(lines, "trying again in 0.1 s")
            (out / "aside").replace(out / "manifest.json")
            store.purge("new")
            wait_for_line(lines, "files written")
            assert "new" not in session_ids(out)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        told, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in complaints
    assert told.startswith("relation")
    with duckstore.open(agents) as store:
        assert store.verify_export(out) == []


def wait_for_line(lines: Any, words: str) -> None:
    assert any(words in line for line in lines), f"it ended without {words!r}"


def test_nothing_heavy_is_imported(agents: Path, out: Path) -> None:
    """Neither polars nor pyarrow: an agent's machine may not have them."""
    code = (
        "import sys; from duckstore.cli import cli\n"
        f"cli(['-d', {str(agents)!r}, 'export', {str(out)!r}], standalone_mode=False)\n"
        f"cli(['-d', {str(agents)!r}, 'export', {str(out)!r}, '--verify'], standalone_mode=False)\n"
        "print({'polars', 'pyarrow', 'pandas', 'numpy', 'agents', 'rich'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.splitlines()[-1] == "set()"
