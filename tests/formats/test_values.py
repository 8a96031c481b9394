"""What the values of a foreign file mean."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from duckstore.formats.values import count, mapping, moment, sequence, text
from tests.samples import json_values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (5.0, 5),
        (2**53, 2**53),
        (2**53 + 1, 0),
        (2**80, 0),
        (-1, 0),
        (True, 0),
        (math.nan, 0),
        (math.inf, 0),
        ("5", 0),
        (None, 0),
    ],
)
def test_counts(value: Any, expected: int) -> None:
    """Numbers of tokens; what is none, or would leave the store's columns, is 0."""
    assert count(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1_700_000_000.25, datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
        ("2023-11-14T22:13:20Z", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-15T00:13:20.5+02:00", datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC)),
        ("2023-11-14 22:13:20", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (datetime(2023, 11, 14), datetime(2023, 11, 14, tzinfo=UTC)),
        (math.nan, None),
        (math.inf, None),
        (1e300, None),
        (-5, None),
        (0, None),
        (True, None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ([], None),
    ],
)
def test_moments(value: Any, expected: datetime | None) -> None:
    """Seconds, ISO texts and datetimes; UTC where no zone is named."""
    assert moment(value) == expected


@given(json_values())
def test_anything_means_something(value: Any) -> None:
    """Nothing is raised, and what comes out is of the kind that was asked for."""
    assert isinstance(count(value), int)
    assert moment(value) is None or isinstance(moment(value), datetime)
    assert text(value) in (None, value)
    assert isinstance(mapping(value), dict)
    assert isinstance(sequence(value), list)
