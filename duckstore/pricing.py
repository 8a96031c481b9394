"""The prices that a store has: the user's own, and those of the list for the models in it.

They belong to no session, so they are no commands and are not in the journal: they are written in
one transaction between two folds, and a crash leaves the old ones or the new. Models are looked up
in the process that asks, which need not be the one that has the file open.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from duckstore import errors
from duckstore.engine import Engine
from duckstore.pricelist import list_name, look_up, need_list
from duckstore.prices import read_prices

if TYPE_CHECKING:
    import duckdb

    from duckstore.rows import Rows

__all__ = ["ListPrices", "Priced", "asks_for_prices", "set_prices", "unpriced", "write_prices"]

USER = "user"
"""The source of the user's own prices."""

_log = logging.getLogger("duckstore")
_RELATIONS = re.compile(r"\b(?:costs|prices)\b", re.IGNORECASE)

_MODELS = "(select distinct model from response_rows where model is not null)"

# The models for which the list of that name was not asked, or has nothing; and NULL where there are
# prices of another list, or of another version of it.
_NOT_LISTED = f"""
    select model from {_MODELS}
    where model not in (select model from price_rows where source = $source)
    union all
    select null where exists (from price_rows where source not in ('{USER}', $source))
"""
_UNPRICED = f"select model from {_MODELS} where model not in (select model from price_rows)"

# The kinds of the columns of `price_rows`: ten thousand rows one by one would take six seconds.
_KINDS = (*["varchar"] * 3, "date", "time", *["bigint"] * 6, "date")
_INSERT = f"insert into price_rows select {', '.join(f'unnest(?::{kind}[])' for kind in _KINDS)}"


class Priced(Protocol):
    """A store, as far as its prices go."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Run one reading statement."""
        ...

    def write_prices(
        self, source: str, models: Sequence[str] | None, rows: Sequence[Sequence[Any]]
    ) -> None:
        """See `write_prices`."""
        ...


def asks_for_prices(sql: str) -> bool:
    """Whether a statement may read `costs` or `prices`: the word stands in it."""
    return isinstance(sql, str) and _RELATIONS.search(sql) is not None


def set_prices(store: Priced, source: Any) -> int:
    """Put the user's own prices in the place of those there are; returns how many.

    Raises:
        ArgumentError, ImportFileError: They are not what they should be; nothing was changed.
    """
    prices = read_prices(source, datetime.now(UTC).date())
    store.write_prices(USER, None, [price.packed() for price in prices])
    return len(prices)


def unpriced(store: Priced) -> list[str]:
    """The models in the store without any price, by name."""
    return sorted(model for (model,) in store.rows(_UNPRICED).rows)


class ListPrices:
    """The list's prices in one store, and the models that this process did not find in the list."""

    def __init__(self) -> None:
        self._unknown: set[str] = set()

    def update(self, store: Priced) -> list[str]:
        """Look up every model of the store; returns those without any price.

        Raises:
            MissingPackageError: The list is not installed.
            StoreWriteError: The prices could not be stored; the old ones stay.
        """
        source = need_list()
        models = [model for (model,) in store.rows(f"from {_MODELS}").rows]
        store.write_prices(source, None, self._look_up(models))
        return unpriced(store)

    def refresh(self, store: Priced) -> None:
        """Look up the models that came since, where the list is installed.

        It takes one short question, as a rule. What cannot be written now is written when a
        question comes next.
        """
        source = list_name()
        if source is None:
            return
        found = [model for (model,) in store.rows(_NOT_LISTED, {"source": source}).rows]
        models = [model for model in found if model is not None and model not in self._unknown]
        is_old = None in found
        if not models and not is_old:
            return
        try:
            rows = self._look_up(models)
            if rows or is_old:
                store.write_prices(source, models, rows)
        except (errors.StoreWriteError, errors.MissingPackageError):
            _log.info("the prices of %s are not known yet", ", ".join(models), exc_info=True)

    def _look_up(self, models: Sequence[str]) -> list[list[Any]]:
        """Rows for the models that the list knows."""
        rows = []
        for model in models:
            prices = look_up(model)
            rows += [price.packed() for price in prices]
            if prices:
                self._unknown.discard(model)
            else:
                self._unknown.add(model)
        return rows


def write_prices(
    engine: Engine, source: str, models: Sequence[str] | None, rows: Sequence[Sequence[Any]]
) -> None:
    """Put prices in the place of others, in the process that has the store open.

    Args:
        engine: The store.
        source: `USER`, or the name of the list that they are from.
        models: For which models those of the list are replaced; None for all. Those of another
            list, or of another version of it, go in any case.
        rows: The values of `price_rows`, but for the source.

    Raises:
        StoreWriteError: They could not be stored.
    """

    def write(cursor: duckdb.DuckDBPyConnection) -> None:
        if source == USER:
            cursor.execute("delete from price_rows where source = ?", [USER])
        elif models is None:
            cursor.execute("delete from price_rows where source <> ?", [USER])
        else:
            cursor.execute(
                "delete from price_rows where source <> ?"
                " and (source <> ? or model in (select unnest(?::varchar[])))",
                [USER, source, list(models)],
            )
        if rows:
            models_of, *others = zip(*rows, strict=True)
            columns = [models_of, [source] * len(rows), *others]
            cursor.execute(_INSERT, [list(column) for column in columns])

    try:
        engine.change(write)
    except errors.StoreWriteError as error:
        raise errors.StoreWriteError(
            f"the prices were not stored: {error.__cause__ or error}. Make room or correct the "
            "cause, and repeat the call"
        ) from error
