"""A polars filter as a condition in DuckDB's SQL, as far as both mean the same by it.

polars hands a scan its whole filter and does not look at it again. The filter is taken apart at its
`and`s: what DuckDB is known to answer as polars does, for every value of the column's type, becomes
SQL with bound parameters, and the rest is left for polars. The form in which polars writes an
expression down may change with any version of it, so that whatever is not exactly as expected is
left as well: that costs time and never a row.

Where the two could differ: NULL is neither kept nor kept by `not` in both; texts are compared
by their bytes; NaN equals itself and is above every number; a value outside a list with a NULL in
it is not in the list for polars, and unknown in SQL.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars

__all__ = ["Pushed", "push"]

MOST_LISTED = 1000
"""So many values of `is_in` are parameters of their own, with which DuckDB skips row groups."""

# What a value is for a comparison. Only like is compared with like.
_KINDS = {
    "VARCHAR": "text",
    "JSON": "text",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "truth",
    "DATE": "day",
    "TIMESTAMP WITH TIME ZONE": "moment",
}
_COMPARISONS = {
    "Eq": "=",
    "NotEq": "<>",
    "Lt": "<",
    "LtEq": "<=",
    "Gt": ">",
    "GtEq": ">=",
    "EqValidity": "is not distinct from",
    "NotEqValidity": "is distinct from",
}
_BOUNDS = {"Both": (">=", "<="), "Left": (">=", "<"), "Right": (">", "<="), "None": (">", "<")}
_PATTERN_SIGNS = frozenset("\\.+*?()|[]{}^$")
_LARGEST = 2**63 - 1
# What reading a form that is not as expected may raise.
_ODD = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


class Pushed(NamedTuple):
    """A filter in two parts."""

    condition: str | None
    """SQL for a `where`; None where DuckDB is to filter nothing."""
    parameters: dict[str, Any]
    """The values of its parameters."""
    rest: polars.Expr | None
    """What polars must still filter by; None where DuckDB does all of it."""


class _Term(NamedTuple):
    sql: str
    kind: str


class _ForeignError(ValueError):
    """DuckDB has nothing that is known to be the same."""


def push(predicate: polars.Expr | None, types: Mapping[str, str]) -> Pushed:
    """Divide a filter between DuckDB and polars.

    Args:
        predicate: The filter, as polars hands it to a scan.
        types: The DuckDB types of the relation's columns by name.
    """
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    rest: list[polars.Expr] = []
    for part, tree in _parts(predicate) if predicate is not None else ():
        if _is_hint(tree):
            continue
        writer = _Writer(types, len(parameters))
        try:
            conditions.append(writer.truth(tree))
        except _ODD:
            rest.append(part)
        else:
            parameters |= writer.parameters
    return Pushed(
        " and ".join(conditions) or None, parameters, reduce(and_, rest) if rest else None
    )


def _parts(expression: polars.Expr) -> list[tuple[polars.Expr, Any]]:
    """The operands of the `and`s at the top, each with its form; those of a list in its order."""
    tree = _tree(expression)
    try:
        is_both = tree["BinaryExpr"]["op"] == "And"
    except _ODD:
        is_both = False
    if not is_both:
        return [(expression, tree)]
    return [part for operand in reversed(expression.meta.pop()) for part in _parts(operand)]


def _tree(expression: polars.Expr) -> Any:
    """How polars writes the expression down; None where it cannot, as with some functions."""
    import polars

    try:
        return json.loads(expression.meta.serialize(format="json"))
    except (polars.exceptions.PolarsError, ValueError, RecursionError):
        return None


def _is_hint(tree: Any) -> bool:
    """Whether it is only to spare work: for `sort().head()`, of which polars keeps the rows itself.

    Such a part is none that polars could filter a frame by.
    """
    try:
        return bool(tree["Display"]["fmt_str"].startswith("dynamic_pred"))
    except _ODD:
        return False


class _Writer:
    """Writes one part. Every method raises one of `_ODD` where the part must be left to polars."""

    def __init__(self, types: Mapping[str, str], number: int) -> None:
        self._types = types
        self._number = number
        self.parameters: dict[str, Any] = {}

    def truth(self, tree: Any) -> str:
        """The SQL of an expression that is true, false or NULL."""
        return self._of_kind(tree, "truth")

    def _of_kind(self, tree: Any, kind: str) -> str:
        term = self._term(tree)
        if term.kind != kind:
            raise _ForeignError(kind)
        return term.sql

    def _term(self, tree: Any) -> _Term:
        ((name, value),) = tree.items()
        if _is_literal(tree):
            return self._literal(tree)
        if name == "Column":
            return self._column(value)
        if name == "BinaryExpr":
            return self._binary(value["left"], value["op"], value["right"])
        if name == "Function":
            return self._function(value["function"], value["input"])
        if name == "Cast":
            return self._cast(value["expr"], value["dtype"])
        raise _ForeignError(name)

    def _column(self, name: str) -> _Term:
        sql = _quoted(name)
        kind = self._types[name]
        return _Term(f"{sql}::varchar" if kind == "JSON" else sql, _KINDS[kind])

    def _cast(self, tree: Any, target: Any) -> _Term:
        """An integer beside a fraction: both sides round it to the same double."""
        if target != {"Literal": "Float64"}:
            raise _ForeignError(target)
        return _Term(f"{self._of_kind(tree, 'integer')}::double", "number")

    def _binary(self, left: Any, operator: str, right: Any) -> _Term:
        if operator in ("And", "Or"):
            # polars has the same signs for bits: these are no truths.
            sides = f"{self.truth(left)} {operator.lower()} {self.truth(right)}"
            return _Term(f"({sides})", "truth")
        one, other = self._term(left), self._term(right)
        if one.kind != other.kind:
            raise _ForeignError(operator)
        return _Term(f"({one.sql} {_COMPARISONS[operator]} {other.sql})", "truth")

    def _function(self, function: Any, inputs: Sequence[Any]) -> _Term:
        ((family, name),) = function.items()
        options: Mapping[str, Any] = {}
        if isinstance(name, dict):
            ((name, options),) = name.items()
        write = _FUNCTIONS[family, name]
        return _Term(f"({write(self, options, *inputs)})", "truth")

    def _literal(self, tree: Any) -> _Term:
        value = _value(tree)
        return _Term(self._parameter(value), _kind_of(value))

    def _parameter(self, value: Any) -> str:
        name = f"scan_{self._number + len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    # Functions -------------------------------------------------------------------------------

    def _is_null(self, _: Any, tree: Any) -> str:
        return f"{self._any(tree)} is null"

    def _is_not_null(self, _: Any, tree: Any) -> str:
        return f"{self._any(tree)} is not null"

    def _any(self, tree: Any) -> str:
        """A column of whatever type, or a term."""
        name = tree.get("Column")
        return _quoted(name) if name in self._types else self._term(tree).sql

    def _not(self, _: Any, tree: Any) -> str:
        return f"not {self.truth(tree)}"

    def _is_between(self, options: Any, tree: Any, low: Any, high: Any) -> str:
        value, *bounds = (self._term(each) for each in (tree, low, high))
        if any(bound.kind != value.kind for bound in bounds):
            raise _ForeignError(value.kind)
        above, below = _BOUNDS[options["closed"]]
        low_sql, high_sql = (bound.sql for bound in bounds)
        return f"{value.sql} {above} {low_sql} and {value.sql} {below} {high_sql}"

    def _is_in(self, options: Any, tree: Any, listed: Any) -> str:
        term, members = self._term(tree), list(_value(listed))
        values = [value for value in members if value is not None]
        if not values or any(_kind_of(value) != term.kind for value in values):
            raise _ForeignError(term.kind)
        if len(values) <= MOST_LISTED:
            sql = f"{term.sql} in ({', '.join(map(self._parameter, values))})"
        else:
            sql = f"{term.sql} in (select unnest({self._parameter(values)}))"
        if options["nulls_equal"]:
            return f"coalesce({sql}, {len(values) < len(members)})"
        return sql

    def _text_function(self, name: str, tree: Any, part: Any) -> str:
        text = _value(part)
        if not isinstance(text, str):
            raise _ForeignError(name)
        return f"{name}({self._of_kind(tree, 'text')}, {self._parameter(text)})"

    def _starts_with(self, _: Any, tree: Any, part: Any) -> str:
        return self._text_function("starts_with", tree, part)

    def _ends_with(self, _: Any, tree: Any, part: Any) -> str:
        return self._text_function("ends_with", tree, part)

    def _contains(self, options: Any, tree: Any, part: Any) -> str:
        # A pattern without signs of its own is a text.
        if options["literal"] is not True and _PATTERN_SIGNS & set(_value(part)):
            raise _ForeignError("contains")
        return self._text_function("contains", tree, part)


_FUNCTIONS: dict[tuple[str, str], Callable[..., str]] = {
    ("Boolean", "IsNull"): _Writer._is_null,
    ("Boolean", "IsNotNull"): _Writer._is_not_null,
    ("Boolean", "Not"): _Writer._not,
    ("Boolean", "IsBetween"): _Writer._is_between,
    ("Boolean", "IsIn"): _Writer._is_in,
    ("StringExpr", "StartsWith"): _Writer._starts_with,
    ("StringExpr", "EndsWith"): _Writer._ends_with,
    ("StringExpr", "Contains"): _Writer._contains,
}


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _is_literal(tree: Any) -> bool:
    """Whether it is a value of no column; that of a moment may be put together by functions."""
    ((name, value),) = tree.items()
    if name == "Cast":
        return _is_literal(value["expr"])
    if name == "Alias":
        return _is_literal(value[0])
    if name == "Function" and "TemporalExpr" in value["function"]:
        return all(map(_is_literal, value["input"]))
    return bool(name == "Literal")


def _value(tree: Any) -> Any:
    """The value of a literal, as polars itself reads it; of a list, a Series."""
    import polars

    if not _is_literal(tree):
        raise _ForeignError("no value")
    try:
        form = io.BytesIO(json.dumps(tree).encode())
        return polars.select(polars.Expr.deserialize(form, format="json")).item()
    except polars.exceptions.PolarsError as error:  # NaN, say, which JSON does not have
        raise _ForeignError("no value") from error


def _kind_of(value: Any) -> str:
    """What a value is for a comparison."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return "integer"
    if isinstance(value, float) and math.isfinite(value):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return "moment"
    elif isinstance(value, date):
        return "day"
    raise _ForeignError(value)
