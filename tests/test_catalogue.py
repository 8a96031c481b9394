"""The user's own queries join the catalogue, from a folder of hers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import duckstore
from duckstore import catalogue, errors
from duckstore.cli import cli
from tests.samples import assistant, user

HEADER = "-- {title}\n--\n-- One row per thing.\n\n"


def write(folder: Path, name: str, sql: str, title: str = "What I ask.") -> Path:
    file = folder / f"{name}.sql"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEADER.format(title=title) + sql, encoding="utf-8")
    return file


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_they_join_and_replace(path: Path, own: Path) -> None:
    """A new name is one more query; the name of a bundled one takes its place."""
    write(own, "greetings", "select text from messages order by item_id asc")
    write(own, "sales/turn_pairs", "select 42 as answer")
    with duckstore.open(path, queries=own) as store:
        store.conversation("s").add([user("hello"), assistant("hi")])
        assert store.query("greetings")["text"].to_list() == ["hello", "hi"]
        assert store.query("turn_pairs").rows() == [(42,)]
        assert store.query("tool_usage").height == 0
        found = {query.name: query for query in store.queries()}
    assert len(found) == len(catalogue.bundled()) + 1
    assert (found["greetings"].topic, found["greetings"].title) == ("mine", "What I ask.")
    assert (found["turn_pairs"].topic, found["turn_pairs"].scope) == ("sales", "store")
    assert found["turn_pairs"].columns == {"answer": "INTEGER"}
    with duckstore.open(path) as store:
        assert store.query("turn_pairs").height == 1


def test_the_environment_names_the_folder(
    store: duckstore.Store, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the caller does."""
    write(own, "mine", "select 1 as one")
    monkeypatch.setenv(catalogue.VARIABLE, str(own))
    assert store.query("mine").rows() == [(1,)]
    other = own / "other"
    write(other, "mine", "select 2 as two")
    assert duckstore.open(queries=other).query("mine").rows() == [(2,)]
    monkeypatch.setenv(catalogue.VARIABLE, str(own / "nowhere"))
    with pytest.raises(errors.QueryFileError, match=r"nowhere that DUCKSTORE_QUERIES names"):
        store.query("turn_pairs")


def test_an_edited_file_counts_at_once(own: Path) -> None:
    write(own, "mine", "select 1 as one")
    with duckstore.open(queries=own) as store:
        assert store.query("mine").rows() == [(1,)]
        write(own, "mine", "select 2 as one")
        assert store.query("mine").rows() == [(2,)]


def test_a_wrong_file_keeps_nobody_from_the_others(path: Path, own: Path) -> None:
    """It is named where it is asked for, and where all are listed."""
    write(own, "good", "select 1 as one")
    (own / "bad.sql").write_text("select 1", encoding="utf-8")
    (own / "turn_pairs.sql").write_bytes(b"\xff")
    with duckstore.open(path, queries=own) as store:
        assert store.query("good").rows() == [(1,)]
        with pytest.raises(errors.QueryFileError, match=r"bad\.sql: line 1 is the title"):
            store.query("bad")
        with pytest.raises(errors.QueryFileError, match=r"turn_pairs\.sql is not UTF-8"):
            store.query("turn_pairs")
        with pytest.raises(errors.QueryFileError, match=r"(bad|turn_pairs)\.sql"):
            store.queries()
    listed = call("queries", "--queries", own)
    assert listed.exit_code == 0
    assert "good" in listed.stdout
    assert [line.split(":")[0] for line in listed.stderr.splitlines()] == ["Left out"] * 2
    assert str(own / "bad.sql") in listed.stderr


def test_two_files_of_one_name_are_refused(own: Path) -> None:
    write(own, "a/twice", "select 1 as one")
    write(own, "b/twice", "select 2 as two")
    with (
        duckstore.open(queries=own) as store,
        pytest.raises(errors.QueryFileError, match="two query files are named twice"),
    ):
        store.query("twice")


def test_a_folder_that_is_not_there(path: Path, tmp_path: Path) -> None:
    """It is told when the store is opened, which is not left open."""
    with pytest.raises(errors.QueryFileError, match=r"nowhere is not there: correct the path"):
        duckstore.open(path, queries=tmp_path / "nowhere")
    with duckstore.open(path, exclusive=True) as store:
        assert store.query("turn_pairs").height == 0


@pytest.mark.parametrize(
    "sql", ["delete from item_rows", "copy runs to 'runs.csv'", "select 1; select 2"]
)
def test_they_can_only_read(path: Path, own: Path, sql: str) -> None:
    write(own, "mine", sql)
    with duckstore.open(path, queries=own) as store, pytest.raises(errors.SQLError):
        store.query("mine")
    result = call("-d", path, "query", "--queries", own, "mine")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")


def test_the_command_line_has_them_as_commands(
    path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With help, options and completion like the bundled ones."""
    write(own, "mine", "select session_id from sessions where session_id = $wanted::varchar")
    text = (own / "mine.sql").read_text(encoding="utf-8")
    header = "--\n-- param wanted: varchar\n--     Which session.\n"
    text = text.replace("thing.\n", f"thing.\n{header}", 1)
    (own / "mine.sql").write_text(text, encoding="utf-8")
    with duckstore.open(path) as store:
        store.conversation("s").add([user("hi")])
    asked = ("-d", path, "--queries", own, "query", "mine")
    assert call(*asked, "--wanted", "s", "--format", "csv").stdout == "session_id\ns\n"
    for option in (("--queries", own), (f"--queries={own}",)):
        after = call("-d", path, "query", "mine", "--wanted", "s", *option, "--format", "csv")
        assert after.stdout == "session_id\ns\n"
    shown = call(*asked, "--help").stdout
    assert re.search(r"--wanted VARCHAR +Which session\.  \[required\]", shown)
    missing = call(*asked)
    assert missing.exit_code == 2
    assert "needs the parameter 'wanted' (varchar): Which session." in missing.stderr
    monkeypatch.setenv(catalogue.VARIABLE, str(own))
    assert call("query", "mine", "--show").stdout == text
    near = call("query", "mime")
    assert near.exit_code == 2
    assert "near it: mine" in near.stderr


def test_show_prints_the_text_and_explain_the_plan(filled: Path) -> None:
    """Before the name and after it; showing needs no store."""
    file = catalogue.bundled()["tool_usage"].path.read_text(encoding="utf-8")
    assert call("query", "--show", "tool_usage").stdout == file
    assert call("query", "tool_usage", "--show").stdout == file
    for order in (("--explain", "tool_usage"), ("tool_usage", "--explain")):
        result = call("-d", filled, "query", *order, "--tool-name", "find")
        assert result.exit_code == 0
        assert "item_rows" in result.stdout
        assert "'find'" in result.stdout


def test_the_page_tells_how_to_read_and_what_to_do() -> None:
    """Every query with its question, columns, parameters, reading and action, by topic."""
    page = call("queries", "--format", "markdown").stdout
    topics = [line[2:] for line in page.splitlines() if line.startswith("# ")]
    assert topics == sorted({query.topic for query in catalogue.bundled().values()})
    entries = dict(entry.split("\n", 1) for entry in page.split("\n## ")[1:])
    assert list(entries) == list(catalogue.bundled())
    for name, query in catalogue.bundled().items():
        entry = entries[name]
        assert f"**{query.title}**" in entry
        assert f"**How to read it.** {query.reading}" in entry
        assert f"**What to do.** {query.action}" in entry
        for parameter in query.parameters:
            assert (
                f"- `{parameter.name}` ({parameter.type}, default {parameter.default_sql})" in entry
            )
        for column, kind in catalogue.columns_of(query).items():
            assert f"`{column}` {kind.lower()}" in entry
    topic, entry = call("queries", "tool_usage", "--format", "markdown").stdout.split("\n\n", 1)
    assert topic == "# tool_usage"
    assert entry in page


def test_the_command_line_installs_them(filled: Path) -> None:
    result = call("-d", filled, "queries", "--install")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{len(catalogue.bundled())} queries are macros" in result.stderr
    found = call("-d", filled, "sql", "select count(*) as n from turn_pairs()", "--format", "csv")
    assert int(found.stdout.splitlines()[1]) > 1
    assert call("-d", filled, "queries", "tool_usage", "--install").exit_code == 2
