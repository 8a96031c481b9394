"""The command `prices`: what it lists, sets and looks up, and what it says beside that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import duckstore
from duckstore.cli import ExitCode, cli
from duckstore.pricelist import list_name
from tests.priced import Answer, respond

HEADER = "model,input_price,output_price,currency\n"


@pytest.fixture
def priced(path: Path) -> Path:
    """A store with a model of the list and one of one's own."""
    with duckstore.open(path) as store:
        respond(store, "a", [Answer("gpt-4.1")])
        respond(store, "b", [Answer("my-model")])
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Prices of one's own."""
    found = tmp_path / "mine.csv"
    found.write_text(HEADER + "my-model,3,10.50,EUR\n")
    return found


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def listed(result: Result) -> list[tuple[Any, ...]]:
    assert result.exit_code == ExitCode.OK
    return [
        tuple(row[name] for name in ("model", "currency", "input_price", "output_price"))
        for row in json.loads(result.stdout)
    ]


def test_prices_are_listed_and_models_without_one_named(priced: Path) -> None:
    """Data on standard output and nothing else; the list is asked by itself."""
    result = call("-d", priced, "prices", "--format", "json")
    assert listed(result) == [("gpt-4.1", "USD", 2.0, 8.0)]
    assert result.stderr == "no price is known for my-model\n"
    assert json.loads(result.stdout)[0]["price_source"] == list_name()


def test_prices_of_a_file_are_set(priced: Path, file: Path) -> None:
    """They are there for every later question, until others are set."""
    result = call("-d", priced, "--format", "json", "prices", "--set", file)
    assert listed(result) == [("gpt-4.1", "USD", 2.0, 8.0), ("my-model", "EUR", 3.0, 10.5)]
    assert result.stderr == "1 prices set\n"
    rows = call("-d", priced, "query", "usage_by_model", "--format", "jsonl").stdout
    assert {json.loads(row)["total_cost"] for row in rows.splitlines()} == {2800, 4050}
    file.write_text(HEADER)
    result = call("-d", priced, "--format", "json", "prices", "--set", file)
    assert listed(result) == [("gpt-4.1", "USD", 2.0, 8.0)]
    assert result.stderr == "0 prices set\nno price is known for my-model\n"


def test_all_models_are_looked_up(priced: Path, file: Path) -> None:
    """Together with prices that are set, after them."""
    result = call("-d", priced, "--format", "json", "prices", "--update")
    assert listed(result) == [("gpt-4.1", "USD", 2.0, 8.0)]
    assert result.stderr == "no price is known for my-model\n"
    result = call("-d", priced, "--format", "json", "prices", "--update", "--set", file)
    assert len(listed(result)) == 2
    assert result.stderr == "1 prices set\n"


def test_no_prices_are_valid_output(path: Path) -> None:
    with duckstore.open(path):
        pass
    result = call("-d", path, "prices", "--format", "json")
    assert (result.stdout, result.stderr, result.exit_code) == ("[]\n", "", ExitCode.OK)


def test_a_wrong_price_is_one_line_and_changes_nothing(priced: Path, file: Path) -> None:
    call("-d", priced, "prices", "--set", file)
    file.write_text(HEADER + "my-model,3,10,EUR\nother,x,1,EUR\n")
    result = call("-d", priced, "prices", "--set", file)
    assert (result.stdout, result.exit_code) == ("", ExitCode.FAILURE)
    assert result.stderr == (
        "Error: row 2 of mine.csv has the input_price 'x': give a number from 0 up, such as 2.5\n"
    )
    assert ("my-model", "EUR", 3.0, 10.5) in listed(call("-d", priced, "prices", "--format=json"))


def test_a_file_that_is_not_there_is_a_wrong_command(priced: Path) -> None:
    result = call("-d", priced, "prices", "--set", "nothing.csv")
    assert (result.stdout, result.exit_code) == ("", ExitCode.USAGE)


def test_a_store_that_is_only_read_lists_what_it_has(priced: Path, file: Path) -> None:
    result = call("-d", priced, "--read-only", "prices", "--format", "json")
    assert listed(result) == []
    assert result.stderr == "no price is known for gpt-4.1\nno price is known for my-model\n"
    for change in (("--set", file), ("--update",)):
        result = call("-d", priced, "--read-only", "prices", *change)
        assert (result.stdout, result.exit_code) == ("", ExitCode.FAILURE)
        assert "read_only=True" in result.stderr


def test_looking_up_without_the_list_says_what_to_install(
    priced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list what there is needs no package."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)
    monkeypatch.setattr("duckstore.pricelist.list_name", lambda: None)
    assert listed(call("-d", priced, "prices", "--format", "json")) == []
    result = call("-d", priced, "prices", "--update")
    assert (result.stdout, result.exit_code) == ("", ExitCode.FAILURE)
    assert "pip install 'duckstore[prices]'" in result.stderr
