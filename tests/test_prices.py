"""Prices as a user gives them: every form that is taken, and every value that is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars
import pyarrow
import pytest

from duckstore import errors
from duckstore.prices import MOST, Price, millionths, read_prices

TODAY = date(2026, 1, 31)
ROW = {"model": "m", "input_price": 2.5, "output_price": 10}


def price(**values: Any) -> Price:
    """A price of the model m as the store has it."""
    return Price(
        **{
            "model": "m",
            "currency": "USD",
            "valid_from": None,
            "daily_from": time(),
            "above_input_tokens": 0,
            "input_price": 2_500_000,
            "cache_read_price": None,
            "cache_write_price": None,
            "output_price": 10_000_000,
            "request_price": None,
            "price_date": TODAY,
            **values,
        }
    )


def read(*rows: Any) -> list[Price]:
    return read_prices(list(rows), TODAY)


def refusal(source: Any, kind: type[errors.DuckstoreError] = errors.ArgumentError) -> str:
    with pytest.raises(kind) as caught:
        read_prices(source, TODAY)
    return str(caught.value)


# Forms ------------------------------------------------------------------------------------------

FULL = {
    "model": "m",
    "input_price": "2.50",
    "output_price": "10",
    "cache_read_price": "0.003625",
    "cache_write_price": "3.125",
    "request_price": "0.005",
    "currency": "eur",
    "valid_from": "2026-01-31",
    "above_input_tokens": "0",
}
FULL_PRICE = price(
    currency="EUR",
    valid_from=date(2026, 1, 31),
    cache_read_price=3625,
    cache_write_price=3_125_000,
    request_price=5000,
)


def test_two_prices_are_all_that_a_model_needs() -> None:
    """What is not given is as input, in USD, always, for requests of any size."""
    assert read(ROW) == [price()]
    empty = dict.fromkeys(("cache_read_price", "currency", "valid_from", "above_input_tokens"))
    assert read(ROW | empty) == [price()]
    assert read(ROW | dict.fromkeys(empty, " ")) == [price()]
    assert read(ROW | {"cache_read_price": float("nan")}) == [price()]
    assert read() == []


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "CSV", "list", "polars", "arrow"])
def test_every_form_gives_the_same_prices(form: str, tmp_path: Path) -> None:
    """Files, mappings, frames and tables are read alike."""
    rows: list[dict[str, Any]] = [FULL, FULL | {"above_input_tokens": "200000"}]
    texts = {
        "csv": "\n".join(",".join(values) for values in (rows[0], *(r.values() for r in rows))),
        "json": json.dumps(rows),
        "jsonl": "\n\n".join(map(json.dumps, rows)) + "\n",
    }
    path = tmp_path / f"prices.{form}"
    path.write_text(texts.get(form.lower(), ""), encoding="utf-8")
    sources: dict[str, Any] = {
        "list": rows,
        "polars": polars.DataFrame(rows),
        "arrow": pyarrow.Table.from_pylist(rows),
    }
    expected = [FULL_PRICE, replace(FULL_PRICE, above_input_tokens=200_000)]
    assert read_prices(sources.get(form, path), TODAY) == expected
    assert read_prices(sources.get(form, str(path)), TODAY) == expected


def test_typed_columns_of_a_frame(tmp_path: Path) -> None:
    """Numbers and days may be what they are, and nothing stands for what is not given."""
    frame = polars.DataFrame(
        {
            "model": ["m", "m"],
            "input_price": [2.5, 3.0],
            "output_price": [10, 12],
            "valid_from": [None, date(2026, 2, 1)],
            "above_input_tokens": [0, None],
        }
    )
    later = price(valid_from=date(2026, 2, 1), input_price=3_000_000, output_price=12_000_000)
    assert read_prices(frame, TODAY) == [price(), later]


def test_a_file_of_another_program_is_read(tmp_path: Path) -> None:
    """A mark at the start, line ends of Windows, quotes and empty lines do not matter."""
    path = tmp_path / "prices.csv"
    path.write_bytes(b'\xef\xbb\xbfmodel,input_price,output_price\r\n"m","2.5","10"\r\n\r\n')
    assert read_prices(path, TODAY) == [price()]
    path.write_text("model,input_price,output_price\n")
    assert read_prices(path, TODAY) == []


@pytest.mark.parametrize(
    "value",
    [2.5, "2.5", " 2.50 ", "25e-1", Decimal("2.5"), Fraction(5, 2)],
)
def test_a_number_is_read_exactly(value: Any) -> None:
    assert read(ROW | {"input_price": value}) == [price()]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0", 0),
        ("0.0005", 500),
        ("0.1234565", 123_456),
        ("0.1234575", 123_458),
        (0.1 + 0.2, 300_000),
        (MOST, MOST * 1_000_000),
    ],
)
def test_prices_are_stored_in_millionths(given: Any, stored: int) -> None:
    """To the nearest one; of two that are as near, to the even one."""
    assert read(ROW | {"output_price": given})[0].output_price == stored
    assert millionths(Decimal("1.0000005")) == 1_000_000


def test_what_is_sent_to_the_store_is_json() -> None:
    values = FULL_PRICE.packed()
    assert json.loads(json.dumps(values)) == values
    assert values[:4] == ["m", "EUR", "2026-01-31", "00:00:00"]


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input_price": "2,5"}, "row 1 has the input_price '2,5': give a number from 0 up"),
        ({"input_price": "free"}, "give a number from 0 up"),
        ({"input_price": -1}, "give a number from 0 up"),
        ({"input_price": True}, "the input_price True: give a number"),
        ({"input_price": "NaN"}, "give a number from 0 up"),
        ({"input_price": float("inf")}, "give a number from 0 up"),
        ({"input_price": [2]}, "give a number from 0 up"),
        ({"input_price": datetime(2026, 1, 1, tzinfo=UTC)}, "give a number from 0 up"),
        ({"input_price": None}, "row 1 has no input_price: add it"),
        ({"output_price": "  "}, "row 1 has no output_price: add it"),
        ({"model": None}, "row 1 has no model: add it"),
        ({"model": 4}, "the model 4: give the model's name"),
        ({"model": "a\x00b"}, "give the model's name"),
        ({"model": "\ud800"}, "give the model's name"),
        ({"input_price": 2.5e-06}, "looks like the price of one token; give that of a million"),
        ({"cache_read_price": "0.0004"}, "looks like the price of one token"),
        ({"input_price": 10**10}, "that is more than 1000000000"),
        ({"request_price": 10**10}, "that is more than 1000000000"),
        ({"currency": "Dollar"}, "the currency 'Dollar': give a currency in three letters"),
        ({"currency": "£££"}, "give a currency in three letters"),
        ({"currency": 978}, "give a currency in three letters"),
        ({"valid_from": "31.01.2026"}, "the valid_from '31.01.2026': give a day as YYYY-MM-DD"),
        ({"valid_from": 2026}, "give a day as YYYY-MM-DD"),
        ({"valid_from": datetime(2026, 1, 31, 12, tzinfo=UTC)}, "give a day as YYYY-MM-DD"),
        ({"above_input_tokens": 0.5}, "give a whole number of tokens, such as 200000"),
        ({"above_input_tokens": 2**63}, "give a whole number of tokens"),
        ({"above_input_tokens": -1}, "give a number from 0 up"),
        ({"cache_price": 1}, "has a column 'cache_price', which prices do not have"),
        ({7: 1}, "has a column 7"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(change: dict[Any, Any], words: str) -> None:
    """The message says which row, which value, and what to give."""
    assert words in refusal([ROW | change])
    assert refusal([ROW | {"model": "other"}, ROW | change]).startswith("row 2 has ")


def test_two_prices_of_one_place_are_refused() -> None:
    text = refusal([ROW, ROW | {"valid_from": "2026-01-31"}, ROW | {"input_price": 3}])
    assert text == ("row 3 gives 'm' another price above 0 input tokens: keep one of the two")
    day = ROW | {"valid_from": "2026-01-31"}
    assert "row 3 gives 'm' another price from 2026-01-31" in refusal([ROW, day, day])


def test_each_day_has_a_price_for_any_request() -> None:
    """Otherwise the price of small requests would depend on which row came first."""
    late = ROW | {"valid_from": "2026-01-31", "above_input_tokens": 200_000}
    assert "of 'm' from 2026-01-31 begin above 200000" in refusal([ROW, late])
    assert refusal([ROW | {"above_input_tokens": 9}]) == (
        "the prices of 'm' begin above 9 input tokens: add a row with above_input_tokens 0"
    )


@pytest.mark.parametrize("source", [None, 5, b"prices.csv", ROW, object()])
def test_what_are_no_rows_is_refused(source: Any) -> None:
    text = refusal(source)
    assert "give a file, a list of mappings, a polars DataFrame or an Arrow table" in text


def test_a_row_that_is_no_mapping_is_refused() -> None:
    assert refusal(["m"]) == ("row 1 is 'm', and must be a mapping with the names of the columns")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.csv", b"", "no line with the names of the columns"),
        ("p.csv", b"model,input_price\nm,1,2\n", "row 1 has more cells than the first line"),
        ("p.csv", b'model\n"m\n', "p.csv is no .csv file in UTF-8"),
        ("p.csv", b"model\n\xff\n", "p.csv is no .csv file in UTF-8"),
        ("p.json", b"{", "p.json is no .json file in UTF-8"),
        ("p.json", b'{"model": "m"}', "it is not a list of objects"),
        ("p.json", b"[" * 100_000, "p.json is no .json file in UTF-8"),
        ("p.jsonl", b"{}\nx\n", "p.jsonl is no .jsonl file in UTF-8"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = refusal(path, errors.ImportFileError)
    assert words in text
    assert str(path) in text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refusal(tmp_path / "p.csv", errors.ImportFileError)
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read: Is a dir" in refusal(tmp_path / "folder.csv", errors.ImportFileError)
    assert "give a file in .csv, .json or .jsonl" in refusal(tmp_path / "p.xlsx")


def test_a_wrong_row_of_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("model,input_price,output_price\nm,1,2\nn,x,2\n")
    assert refusal(path).startswith("row 2 of mine.csv has the input_price 'x': give a number")
