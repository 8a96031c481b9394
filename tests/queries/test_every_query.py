"""The contract that every query file keeps, whatever it answers.

All run on one store: the rich one, and what the tests of the queries add to it. A module
`test_NAME.py` may have a function `fill(store)`, which adds the sessions that its query needs to
answer with more than one row, and a dict `SAMPLES`, with values of parameters that only it has.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlfluff.core import FluffConfig, Linter

import duckstore
from duckstore import catalogue, errors, queryfile
from duckstore.schema import RELATIONS, TABLES
from tests.priced import Answer, respond
from tests.rich import fill

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(catalogue.folder().glob("*/*.sql"))
NAMES = [path.stem for path in FILES]

# Values of the parameters that queries share.
SAMPLES: dict[str, list[Any]] = {
    "session_id": ["orders", "no such session"],
    "since": [datetime(2020, 1, 1, tzinfo=UTC), "2999-01-01"],
    "until": [datetime(2999, 1, 1, tzinfo=UTC), "2020-01-01T00:00:00+02:00"],
    "tool_name": ["find"],
    "agent_name": ["triage"],
    "model": ["gpt-4.1"],
    "user_id": ["ada"],
    "kind": ["edit", "compact"],
    "include_superseded": [True, "false"],
    "include_compactions": [True, "false"],
    "row_limit": [0, "2"],
}


@pytest.fixture(scope="module")
def rich() -> Iterator[duckstore.Store]:
    with duckstore.open() as store:
        fill(store)
        for model in ("gpt-4.1", "no such model"):
            respond(store, model, [Answer(model)])
        for name in NAMES:
            add = getattr(module_of(name), "fill", None)
            if add is not None:
                add(store)
        yield store


@pytest.fixture(scope="module")
def empty() -> Iterator[duckstore.Store]:
    with duckstore.open() as store:
        yield store


def samples_of(name: str, parameter: str) -> list[Any]:
    """Values to give a query's parameter."""
    samples: dict[str, list[Any]] = SAMPLES | getattr(module_of(name), "SAMPLES", {})
    return samples[parameter]


@cache
def module_of(name: str) -> ModuleType:
    """The module with the query's own tests."""
    return importlib.import_module(f"tests.queries.test_{name}")


@pytest.fixture(scope="module")
def linter() -> Linter:
    return Linter(config=FluffConfig.from_path(str(ROOT)))


@pytest.fixture(scope="module")
def answer(rich: duckstore.Store) -> Callable[[str], pl.DataFrame]:
    """What each query answers on the store; asked once."""
    return cache(lambda name: rich.query(name))


def columns_of(store: duckstore.Store, query: queryfile.Query) -> dict[str, str]:
    with store._access.engine.reading() as cursor:
        return queryfile.check(query, cursor)


def test_there_are_queries_and_each_stem_names_one() -> None:
    assert {"turn_pairs", "tool_usage", "edit_points"} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    assert sorted(catalogue.bundled()) == sorted(NAMES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_lint(path: Path, linter: Linter) -> None:
    """The file keeps the form of the catalogue, as pyproject.toml spells it out for sqlfluff."""
    found = linter.lint_string(path.read_text(encoding="utf-8"), fname=path.name)
    assert [f"line {v.line_no}: {v.desc()}" for v in found.get_violations()] == []


def test_the_linter_knows_the_form(linter: Linter) -> None:
    """Upper case, implicit aliases, short aliases and bare joins are found: the lint can fail."""
    sql = (
        "SELECT\n    turn_number N,\n    status\nfrom runs r\n"
        "join items on r.id = items.run_id\norder by turn_number asc\n"
    )
    codes = {v.rule_code() for v in linter.lint_string(sql).get_violations()}
    assert {"CP01", "CP02", "AL01", "AL02", "AL06", "AM05"} <= codes


@pytest.mark.parametrize("name", NAMES)
def test_header_agrees_with_the_statement(name: str, rich: duckstore.Store) -> None:
    """DuckDB sees one select with the header's parameters, each cast to the header's type."""
    query = catalogue.bundled()[name]
    assert columns_of(rich, query)
    for parameter in query.parameters:
        casts = set(re.findall(rf"\${parameter.name}::(\w+)", query.sql))
        assert casts == (set() if parameter.name == "row_limit" else {parameter.type})


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_all(name: str) -> None:
    """How to read the figures, what to do about them, and whether sessions can be put together."""
    query = catalogue.bundled()[name]
    assert query.reading.endswith(".")
    assert query.action.endswith(".")
    assert re.search("^-- scope: (session|store)$", query.sql, re.MULTILINE)
    assert "row_limit" in [parameter.name for parameter in query.parameters]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_limit_is_a_bigint(name: str) -> None:
    limits = [p for p in catalogue.bundled()[name].parameters if p.name == "row_limit"]
    assert [(p.type, p.is_required) for p in limits] == [("bigint", False)]


@pytest.mark.parametrize("name", NAMES)
def test_empty_store(name: str, empty: duckstore.Store) -> None:
    """On a store without sessions the columns are there and no rows."""
    frame = empty.query(name)
    assert frame.height == 0
    assert frame.columns == list(columns_of(empty, catalogue.bundled()[name]))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_is_total(
    name: str, rich: duckstore.Store, answer: Callable[[str], pl.DataFrame]
) -> None:
    """The same question gives the same rows in the same order, and a limit takes the first."""
    first = answer(name)
    assert first.height > 1
    assert_frame_equal(first, rich.query(name))
    limited = rich.query(name, row_limit=first.height - 1)
    assert_frame_equal(limited, first.head(first.height - 1))


@pytest.mark.parametrize("name", NAMES)
def test_output_types(name: str, rich: duckstore.Store) -> None:
    """No column is of a type that reaches polars as something else."""
    for column, kind in columns_of(rich, catalogue.bundled()[name]).items():
        assert not re.search("HUGEINT|DECIMAL|INTERVAL|UNION|VARIANT|JSON", kind), column
        assert kind != "TIMESTAMP", f"{column} has no time zone"


@pytest.mark.parametrize("name", NAMES)
def test_reads_relations_only(name: str) -> None:
    """No query reads a table or the raw items: those may change without notice."""
    sql = re.sub(r"--.*", "", catalogue.bundled()[name].sql)
    words = set(re.findall(r"\w+", sql))
    assert not words & {*TABLES, "item", "placed_items", "store_meta"}
    read = duckdb.get_table_names(re.sub(r"\$\w+", "null", sql))
    assert read
    assert read <= set(RELATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_null_row_limit_means_all(
    name: str, rich: duckstore.Store, answer: Callable[[str], pl.DataFrame]
) -> None:
    """As it is the default everywhere."""
    assert_frame_equal(answer(name), rich.query(name, row_limit=10**9))
    (limit,) = (p for p in catalogue.bundled()[name].parameters if p.name == "row_limit")
    assert limit.default is None


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter(name: str, rich: duckstore.Store) -> None:
    """Parameters take their sample values, and the query's own tests give each and expect rows."""
    values = {p.name: samples_of(name, p.name) for p in catalogue.bundled()[name].parameters}
    for turn in range(max(map(len, values.values()))):
        given = {parameter: found[turn % len(found)] for parameter, found in values.items()}
        assert rich.query(name, **given).columns
    tests = (Path(__file__).parent / f"test_{name}.py").read_text(encoding="utf-8")
    for parameter in values:
        assert re.search(rf"\b{parameter}=", tests), parameter


# Elsewhere ---------------------------------------------------------------------------------------

# Which rows of a relation are those of some sessions. Prices are everybody's.
OF_SESSIONS = {
    "prices": "true",
    "branch_items": "branch_id in (select branch_id from branches where {part})",
}
PARTS = 8


@pytest.fixture(scope="module")
def exported(rich: duckstore.Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store as Parquet files."""
    folder = tmp_path_factory.mktemp("exported")
    rich.export_parquet(folder)
    return folder


@pytest.fixture(scope="module")
def archive(exported: Path) -> Iterator[duckstore.Archive]:
    with duckstore.open_parquet(exported) as opened:
        yield opened


@pytest.fixture(scope="module")
def parts(
    archive: duckstore.Archive, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[duckstore.Archive]]:
    """Folders with an eighth of the sessions each."""
    with ExitStack() as stack:
        opened = []
        for number in range(PARTS):
            folder = tmp_path_factory.mktemp("part")
            part = f"hash(session_id) % {PARTS} = {number}"
            for relation in RELATIONS:
                where = OF_SESSIONS.get(relation, "{part}").format(part=part)
                archive.sql(f"from {relation} where {where}").write_parquet(
                    folder / f"{relation}.parquet"
                )
            opened.append(stack.enter_context(duckstore.open_parquet(folder)))
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_parquet_answers_as_the_store(
    name: str, archive: duckstore.Archive, answer: Callable[[str], pl.DataFrame]
) -> None:
    """The same rows in the same order from a folder of exported files, with the same types."""
    assert_frame_equal(answer(name), archive.query(name))


@pytest.mark.parametrize(
    "name", [name for name in NAMES if catalogue.bundled()[name].scope == "session"]
)
def test_sessions_put_together(
    name: str, parts: list[duckstore.Archive], answer: Callable[[str], pl.DataFrame]
) -> None:
    """What has the scope of a session gives all rows when each eighth is asked by itself."""
    assert sorted(row for part in parts for row in as_texts(part.query(name))) == as_texts(
        answer(name)
    )


@pytest.mark.parametrize(
    "name", [name for name in NAMES if catalogue.bundled()[name].scope == "store"]
)
def test_the_scope_is_no_larger_than_it_must_be(
    name: str, parts: list[duckstore.Archive], answer: Callable[[str], pl.DataFrame]
) -> None:
    """What has the scope of the store cannot be put together from eighths of it."""
    whole, found = as_texts(answer(name)), 0
    for part in parts:
        rows = as_texts(part.query(name))
        found += len(rows)
        if not set(rows) <= set(whole):
            return
    assert found != len(whole)


def as_texts(frame: pl.DataFrame) -> list[str]:
    """The rows in an order of their own. Floats that are added in another order differ slightly."""

    def rounded(value: Any) -> Any:
        return f"{value:.9g}" if isinstance(value, float) else value

    return sorted(repr([rounded(value) for value in row]) for row in frame.rows())


@pytest.fixture(scope="module")
def installed(rich: duckstore.Store) -> duckstore.Store:
    assert rich.install_queries() == list(catalogue.bundled())
    return rich


@pytest.mark.parametrize("name", NAMES)
def test_the_macro_answers_as_the_query(
    name: str, installed: duckstore.Store, answer: Callable[[str], pl.DataFrame]
) -> None:
    """`from NAME()` in any DuckDB tool gives what the query does, and takes its parameters."""
    assert_frame_equal(answer(name), installed.sql(f"from {name}()"))
    given = {p.name: samples_of(name, p.name)[0] for p in catalogue.bundled()[name].parameters}
    arguments = ", ".join(f"{parameter} := ${parameter}" for parameter in given)
    assert_frame_equal(
        installed.query(name, **given), installed.sql(f"from {name}({arguments})", **given)
    )


# Wrong files -----------------------------------------------------------------------------------

HEADER = "-- A title.\n--\n-- One row per thing.\n"
LIMIT = "--\n-- param row_limit: bigint = null\n--     At most this many.\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("select 1", "line 1 is the title"),
        ("-- No full stop\n--\n-- One row per thing.\n\nselect 1", "line 1 is the title"),
        ("-- A title\n-- in two lines.\n--\n-- One row per thing.\n\nselect 1", "line 1"),
        ("-- A title.\n-- One more.\n--\n-- One row per thing.\n\nselect 1", "line 1"),
        ("-- A title.\n\nselect 1", "the second paragraph starts with 'One row per'"),
        ("-- A title.\n--\n-- Rows.\n\nselect 1", "the second paragraph starts with"),
        (HEADER + "--\n-- param x = 1\n--     X.\n\nselect $x", "'param x = 1' is not of the form"),
        (HEADER + "--\n-- param x: text = null\n--     X.\n\nselect $x", "'param x: text = null'"),
        (HEADER + "--\n-- param x: bigint = null\n\nselect $x", "does not say what it does"),
        (HEADER + "--\n-- param x: bigint = many\n--     X.\n\nselect $x", "'many' is no default"),
        (HEADER + "--\n-- param x: bigint = '1'\n--     X.\n\nselect $x", "\"'1'\" is no default"),
        (HEADER + "--\n-- param x: bigint = 1.5\n--     X.\n\nselect $x", "'1.5' is no default"),
        (HEADER + "--\n-- param x: boolean = 1\n--     X.\n\nselect $x", "'1' is no default"),
        (HEADER + "--\n-- param x: varchar = y\n--     X.\n\nselect $x", "'y' is no default"),
        (HEADER + "--\n-- param x: timestamptz = 'soon'\n--     X.\n\nselect $x", "soon"),
        (HEADER + LIMIT + LIMIT[3:] + "\nselect 1 limit $row_limit", "lists 'row_limit' 2 times"),
        (HEADER + "\nselect $x", r"lists \[\] and the statement takes \['x'\]"),
        (HEADER + LIMIT + "\nselect 1", r"lists \['row_limit'\] and the statement takes \[\]"),
        (HEADER + "\nselect 1; select 2", "a query file holds one select"),
        (HEADER + "\n", "a query file holds one select"),
        (HEADER + "\ndelete from item_rows", "a query file holds one select"),
        (HEADER + "\ncopy runs to 'runs.csv'", "a query file holds one select"),
        (HEADER + "\nselec 1", "syntax error"),
        (HEADER + "\nselect nothing from runs", "nothing"),
        (HEADER + "\nselect 1 from no_such_relation", "no_such_relation"),
    ],
)
def test_wrong_files_are_refused(
    tmp_path: Path, store: duckstore.Store, text: str, message: str
) -> None:
    """A header that is not in form, or disagrees with its statement, is named with its file."""
    path = tmp_path / "wrong.sql"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(errors.QueryFileError, match=message) as caught:
        columns_of(store, queryfile.parse(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.sql"
    path.write_bytes(b"-- A title.\xff\n")
    with pytest.raises(errors.QueryFileError, match="is not UTF-8"):
        queryfile.parse(path)


def test_a_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Turn-Pairs.sql"
    path.write_text(HEADER + "\nselect 1", encoding="utf-8")
    with pytest.raises(errors.QueryFileError, match="lower case words joined by _"):
        queryfile.parse(path)


def test_two_files_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stems are unique over all topics, so that moving a file never changes a name."""
    for topic in ("first", "second"):
        (tmp_path / topic).mkdir()
        (tmp_path / topic / "twice.sql").write_text(HEADER + "\nselect 1", encoding="utf-8")
    monkeypatch.setattr(catalogue, "folder", lambda: tmp_path)
    with pytest.raises(errors.QueryFileError, match="two query files are named twice"):
        catalogue.bundled.__wrapped__()


def test_defaults_are_read_as_their_type(tmp_path: Path, store: duckstore.Store) -> None:
    """A header's default is the value that is bound where the caller gives none."""
    path = tmp_path / "defaults.sql"
    header = HEADER + "--\n"
    cases: dict[str, tuple[str, str, Any]] = {
        "a": ("bigint", "-3", -3),
        "b": ("double", "1.5", 1.5),
        "c": ("boolean", "true", True),
        "d": ("varchar", "'it''s'", "it's"),
        "e": ("timestamptz", "'2026-01-31'", datetime(2026, 1, 31, tzinfo=UTC)),
        "f": ("integer", "null", None),
    }
    for name, (kind, text, _) in cases.items():
        header += f"-- param {name}: {kind} = {text}\n--     A value.\n"
    path.write_text(header + "\nselect $a, $b, $c, $d, $e, $f", encoding="utf-8")
    query = queryfile.parse(path)
    assert queryfile.bind(query, {}) == {name: value for name, (_, _, value) in cases.items()}
    assert len(columns_of(store, query)) == len(cases)


def test_a_parameter_without_default_is_required(tmp_path: Path) -> None:
    path = tmp_path / "required.sql"
    path.write_text(
        HEADER + "--\n-- param word: varchar\n--     What to look for.\n\nselect $word",
        encoding="utf-8",
    )
    query = queryfile.parse(path)
    with pytest.raises(
        errors.ParameterError, match=r"needs the parameter 'word' \(varchar\): What to look for"
    ):
        queryfile.bind(query, {})
    assert queryfile.bind(query, {"word": None}) == {"word": None}
