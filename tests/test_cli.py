"""The command line's commands, formats and errors, called in this process."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

import duckstore
from duckstore import catalogue
from duckstore.cli import ExitCode, cli
from duckstore.cli.sessions import ORDERS
from duckstore.schema import RELATIONS, SCHEMA_VERSION
from tests import rich as sample
from tests.samples import assistant, user

# One row with everything that a format may stumble over.
AWKWARD = """
select
    1 as n, null as nothing, '' as empty, true as yes, 1.50 as exact, 'nan'::double as nan,
    'a|b' || chr(10) || '"c", é' as words, chr(27) || '[31m' as colour,
    timestamptz '2026-01-31 12:00:00.5+00' as "at", ['x', null] as list, {'k': 0.5} as struct
"""
GOLDEN = {
    "table": (
        "n  nothing  empty  yes   exact  nan  words        colour    "
        "at                           list         struct\n"
        "-  -------  -----  ----  -----  ---  -----------  --------  "
        "---------------------------  -----------  ----------\n"
        '1                  true   1.50  nan  a|b\\n"c", é  \\x1b[31m  '
        '2026-01-31T12:00:00.500000Z  ["x", null]  {"k": 0.5}\n'
    ),
    "json": (
        '[\n{"n": 1, "nothing": null, "empty": "", "yes": true, "exact": 1.50, "nan": null, '
        '"words": "a|b\\n\\"c\\", é", "colour": "\\u001b[31m", '
        '"at": "2026-01-31T12:00:00.500000Z", "list": ["x", null], "struct": {"k": 0.5}}\n]\n'
    ),
    "csv": (
        "n,nothing,empty,yes,exact,nan,words,colour,at,list,struct\n"
        '1,,,true,1.50,nan,"a|b\n""c"", é",\x1b[31m,2026-01-31T12:00:00.500000Z,'
        '"[""x"", null]","{""k"": 0.5}"\n'
    ),
    "markdown": (
        "| n | nothing | empty | yes | exact | nan | words | colour | at | list | struct |\n"
        "| ---: | --- | --- | --- | ---: | ---: | --- | --- | --- | --- | --- |\n"
        '| 1 |  |  | true | 1.50 | nan | a\\|b<br>"c", é | \\\\x1b[31m | '
        '2026-01-31T12:00:00.500000Z | ["x", null] | {"k": 0.5} |\n'
    ),
}
GOLDEN["jsonl"] = GOLDEN["json"].removeprefix("[\n").removesuffix("]\n")


def call(*arguments: Any, **extra: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], **extra)


def data(*arguments: Any) -> Any:
    """What a command prints as JSON; it must succeed and say nothing else."""
    result = call(*arguments, "--format", "json")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    return json.loads(result.stdout)


def failure(*arguments: Any, code: ExitCode = ExitCode.FAILURE) -> str:
    """The one line that a command says when it fails."""
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("style", GOLDEN)
def test_each_format_carries_every_awkward_value(path: Path, style: str) -> None:
    result = call("-d", ":memory:", "sql", AWKWARD, "--format", style)
    assert (result.stdout, result.stderr, result.exit_code) == (GOLDEN[style], "", 0)


def test_csv_reads_back_as_it_was() -> None:
    rows = list(csv.reader(io.StringIO(GOLDEN["csv"])))
    assert rows[1][6:8] == ['a|b\n"c", é', "\x1b[31m"]


@pytest.mark.parametrize(
    ("style", "text"),
    [("table", "a\n-\n"), ("json", "[]\n"), ("jsonl", ""), ("csv", "a\n"), ("markdown", None)],
)
def test_no_rows_are_still_valid_output(style: str, text: str | None) -> None:
    result = call("-d", ":memory:", "--format", style, "sql", "select 1 as a where false")
    assert result.stdout == (text if text is not None else "| a |\n| ---: |\n")


def test_info_counts_what_the_relations_hold(filled: Path) -> None:
    found = data("-d", filled, "info")
    with duckstore.open(filled) as store:
        for name in RELATIONS:
            count = store.sql(f"select count(*) as n from {name}")["n"][0]
            assert found[name] == count, name
    assert found["path"] == str(filled)
    assert found["schema_version"] == SCHEMA_VERSION
    first = datetime.fromisoformat(found["first_item_at"])
    assert first <= datetime.fromisoformat(found["last_item_at"]) <= datetime.now(UTC)


def test_sessions_shows_the_title_or_the_opening(filled: Path) -> None:
    rows = call("-d", filled, "--format", "markdown", "sessions").stdout.splitlines()
    titles = {row.split(" | ")[0].strip("| "): row.split(" | ")[1] for row in rows[2:]}
    assert titles["orders"] == "Two orders"
    assert titles["forked"] == "Tell a joke."


def test_sessions_filters_orders_and_pages(filled: Path) -> None:
    def listed(*options: str) -> list[str]:
        return [row["session_id"] for row in data("-d", filled, "sessions", *options)]

    assert listed("--search", "ORDERS") == ["orders"]
    assert listed("--user", "ada", "--tag", "vip") == ["orders"]
    assert listed("--user", "nobody") == []
    by_id = listed("--order-by", "session_id", "--ascending")
    assert by_id == sorted(by_id)
    result = call("-d", filled, "sessions", "--limit", "2", "--offset", "1", "--format", "jsonl")
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "There are more: --offset 3 shows the next.\n"
    for order in ORDERS:
        assert len(listed("--order-by", order)) == len(by_id)


def test_show_puts_outputs_with_their_calls(filled: Path) -> None:
    text = call("-d", filled, "show", "orders").stdout
    assert (
        'find (triage): ok\n  {"order": 7}\n  → shipped\nfind (triage): error\n'
        f"  {{'order': 8}}\n  → {sample.FAILED}\nassistant (triage)\n  One is shipped.\n"
    ) in text
    assert "── turn 3 ──" in text


def test_show_marks_what_is_no_longer_on_the_path(filled: Path) -> None:
    plain = call("-d", filled, "show", "edited").stdout
    assert "2 + 3?" not in plain
    assert "4" in plain
    everything = call("-d", filled, "show", "edited", "--superseded").stdout
    assert "user [superseded]\n  2 + 3?\n" in everything
    archived = call("-d", filled, "show", "compacted", "--superseded").stdout
    assert "[archived]" in archived


def test_show_limits_to_the_last_items_and_gives_rows(filled: Path) -> None:
    rows = data("-d", filled, "show", "orders", "--limit", "3")
    assert [row["item_type"] for row in rows][-1] == "message"
    assert len(rows) == 3
    assert json.loads(rows[-1]["item"]) == user("Hello?")
    assert rows[0]["status"] == "rejected"


def test_show_sends_no_control_characters(path: Path) -> None:
    with duckstore.open(path) as store:
        store.conversation("s").add([user("\x1b[2Jgone\r\nline two"), assistant("\x07")])
    result = call("-d", path, "show", "s")
    assert "\x1b" not in result.stdout
    assert "  \\x1b[2Jgone\n  line two\n" in result.stdout


def test_show_of_an_unknown_session_names_near_ones(filled: Path) -> None:
    text = failure("-d", filled, "show", "oders")
    assert "'oders'" in text
    assert "'orders'" in text


def test_queries_lists_all_and_describes_one() -> None:
    listed = data("queries")
    assert [row["name"] for row in listed] == list(catalogue.bundled())
    rows = data("queries", "turn-pairs")
    assert {row["name"] for row in rows if row["part"] == "parameter"} >= {"session_id", "since"}
    assert {row["name"] for row in rows if row["part"] == "column"} >= {"user_message"}


@pytest.mark.parametrize("name", list(catalogue.bundled()))
def test_each_query_is_a_command_with_its_parameters(name: str) -> None:
    query = catalogue.bundled()[name]
    text = call("query", name, "--help").stdout
    for parameter in query.parameters:
        assert f"--{parameter.name.replace('_', '-')} " in text
    assert "Columns:" in text
    taken = {"db", "database", "format", "help", "show", "explain", "queries"}
    assert not {p.name for p in query.parameters} & taken


@pytest.mark.parametrize("name", ["edit_points", "tool_usage", "turn_pairs", "unpriced_models"])
def test_a_query_prints_its_rows(filled: Path, name: str) -> None:
    rows = data("-d", filled, "query", name)
    columns = [row["name"] for row in data("queries", name) if row["part"] == "column"]
    assert [list(row) for row in rows] == [columns] * len(rows)


@pytest.mark.parametrize("option", ["--session-id", "--session_id"])
def test_parameters_take_dashes_and_underscores(filled: Path, option: str) -> None:
    rows = data("-d", filled, "query", "turn_pairs", option, "orders", "--row-limit", "2")
    assert [row["session_id"] for row in rows] == ["orders", "orders"]


def test_a_boolean_parameter_needs_no_value(filled: Path) -> None:
    def count(*options: str) -> int:
        return len(data("-d", filled, "query", "turn_pairs", *options))

    assert count("--include-superseded") == count("--include-superseded", "true") > count()
    assert count("--include-superseded", "false") == count()


def test_wrong_parameters_are_usage_errors(filled: Path) -> None:
    usage = ExitCode.USAGE
    assert "turn_pairs" in failure("-d", filled, "query", "turn_pair", code=usage)
    text = failure("-d", filled, "query", "turn_pairs", "--row-limit", "x", code=usage)
    assert "row_limit" in text
    assert "'x'" in text
    assert "turn_pairs" in failure("queries", "turn_pair", code=usage)
    result = call("-d", filled, "query", "turn_pairs", "--colour", "red")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such option '--colour'" in result.stderr
    assert "requires an argument" in call("query", "turn_pairs", "--row-limit").stderr


def test_sql_reads_standard_input(filled: Path) -> None:
    result = call("-d", filled, "--format", "csv", "sql", "-", input="select 'é' as a\n-- end\n")
    assert result.stdout == "a\né\n"
    result = call("-d", filled, "sql", "-", input=b"select '\xff'")
    assert result.exit_code == ExitCode.USAGE
    assert "not UTF-8" in result.stderr


@pytest.mark.parametrize(
    "statement",
    ["select nothing", "delete from item_rows", "select 1; select 2", "", "drop table item_rows"],
)
def test_sql_that_is_refused_is_a_failure(filled: Path, statement: str) -> None:
    result = call("-d", filled, "sql", statement)
    assert (result.exit_code, result.stdout) == (ExitCode.FAILURE, "")
    assert result.stderr.startswith("Error: ")
    assert data("-d", filled, "info")["items"] == 45


def test_export_tells_what_it_wrote(filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = call("--format", "json", "-d", filled, "export", folder)
    rows = json.loads(result.stdout)
    assert [row["relation"] for row in rows] == list(RELATIONS)
    for row in rows:
        files = f"{row['folder']}/**/*.parquet"
        found = duckdb.execute(f"select count(*) from '{files}'").fetchall()
        assert found == [(row["row_count"],)]
    (tmp_path / "file").write_text("x")
    assert str(tmp_path / "file") in failure("-d", filled, "export", tmp_path / "file")


def test_check_has_no_findings_in_a_sound_store(filled: Path) -> None:
    result = call("-d", filled, "check")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no findings\n")


def test_check_fails_with_its_findings_as_rows(filled: Path) -> None:
    with duckdb.connect(str(filled)) as connection:
        connection.execute("update item_rows set text = 'changed' where text = 'Hello?'")
    result = call("-d", filled, "check", "--format", "json")
    assert result.exit_code == ExitCode.FAILURE
    (finding,) = json.loads(result.stdout)
    assert finding["session_id"] == "orders"


def test_demo_replaces_nothing_that_it_was_not_told_to(path: Path, filled: Path) -> None:
    before = filled.read_bytes()
    assert "--overwrite" in failure("-d", filled, "demo")
    other = path.with_name("notes.txt")
    other.write_text("my notes, long enough to be no store at all")
    failure("-d", other, "demo", "--overwrite")
    assert filled.read_bytes() == before
    assert other.read_text().startswith("my notes")


def test_a_command_without_a_store_says_how_to_name_one() -> None:
    result = call("info", env={"DUCKSTORE_DB": None})
    assert result.exit_code == ExitCode.USAGE
    assert "-d/--db" in result.stderr
    assert "DUCKSTORE_DB" in result.stderr


def test_the_store_is_named_before_or_after_the_command_or_in_the_environment(
    filled: Path, tmp_path: Path
) -> None:
    expected = call("-d", filled, "sessions").stdout
    assert "orders" in expected
    assert call("sessions", "--db", filled).stdout == expected
    assert call("sessions", env={"DUCKSTORE_DB": str(filled)}).stdout == expected
    wrong = {"DUCKSTORE_DB": str(tmp_path / "none")}
    assert call("sessions", "-d", filled, env=wrong).stdout == expected


@pytest.mark.parametrize(
    "command", [["info"], ["sessions"], ["show", "s"], ["check"], ["sql", "x"]]
)
def test_reading_makes_no_file(path: Path, command: list[str]) -> None:
    assert str(path) in failure("-d", path, *command)
    assert not path.exists()
    path.touch()
    assert "empty" in failure("-d", path, *command)
    assert path.read_bytes() == b""


def test_unusable_files_are_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database, and longer than a header of one")
    foreign = tmp_path / "foreign"
    duckdb.connect(str(foreign)).execute("create table mine as select 1").close()
    newer = tmp_path / "newer"
    duckstore.open(newer).close()
    with duckdb.connect(str(newer)) as connection:
        connection.execute("update store_meta set value = '99' where key = 'schema_version'")
    for file, word in ((text, "DuckDB"), (foreign, "mine"), (newer, "99")):
        before = file.read_bytes()
        message = failure("-d", file, "info")
        assert str(file) in message
        assert word in message
        assert file.read_bytes() == before
    assert "directory" in failure("-d", tmp_path, "info")
    assert "folder" in failure("-d", tmp_path / "no" / "x", "import", text)


def test_ids_are_completed_and_mistakes_are_silent(filled: Path, tmp_path: Path) -> None:
    def completed(words: str, database: Path) -> list[str]:
        env = {"_DUCKSTORE_COMPLETE": "bash_complete", "COMP_WORDS": f"duckstore {words}"}
        env |= {"COMP_CWORD": str(len(words.split())), "DUCKSTORE_DB": str(database)}
        result = CliRunner().invoke(cli, [], prog_name="duckstore", env=env)
        assert result.stderr == ""
        return [line.split(",", 1)[1] for line in result.stdout.splitlines() if line]

    assert completed("show or", filled) == ["orders"]
    assert completed("query turn_pairs --session-id or", filled) == ["orders"]
    turns = [name for name in catalogue.bundled() if name.startswith("turn_")]
    assert completed("query turn_", filled) == turns
    assert completed("queries turn_", filled) == turns
    assert completed("show or", tmp_path / "none") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script(shell: str) -> None:
    assert f"_DUCKSTORE_COMPLETE={shell}_complete" in call("completion", shell).stdout


def test_version_and_help() -> None:
    assert call("--version").stdout == f"duckstore {duckstore.__version__}\n"
    text = call("--help").stdout
    for name in cli.commands:
        assert f"\n  {name} " in text
    assert "duckstore completion" in text
    assert "..." not in text.split("Commands:")[1]
