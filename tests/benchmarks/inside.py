"""Questions whose answer stays where it was computed, so that only the database is timed.

Every column of every row is used, and one value comes out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import duckstore
from duckstore import catalogue
from duckstore.queryfile import bind
from tests.benchmarks.queries import Question
from tests.benchmarks.stores import sqlite_rows

__all__ = ["inside"]


def inside(
    opened: duckstore.Store | sqlite3.Connection, question: Question, name: str
) -> Callable[[], Any]:
    """What asks a store a question, and brings no rows out."""
    if isinstance(opened, duckstore.Store):
        query = catalogue.bundled()[question.name]
        values = bind(query, question.parameters)
        sql = f"select bit_xor(hash(answer)) as whole from (\n{query.sql}\n) as answer"
        return lambda: opened.sql(sql, **values)
    columns = ", ".join(question.columns)
    lengths = ", ".join(f"sum(length({column}))" for column in question.columns)
    sql = f"with answer ({columns}) as ({question.elsewhere[name]}) select {lengths} from answer"
    return lambda: sqlite_rows(opened, sql)
