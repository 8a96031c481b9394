"""The README's section on the types of the relations, as they are now.

`python -m tests.readme_types` prints it; `with_types` puts it between the marks in a text.
"""

from __future__ import annotations

import re

from duckstore.columns import ColumnType, relation_types

__all__ = ["types_section", "with_types"]

_TYPES = re.compile(r"(?<=<!-- types -->\n).*(?=<!-- /types -->)", re.S)


def types_section() -> str:
    """A table of the types, and one of the columns that have each."""
    relations = relation_types()
    kinds: dict[str, ColumnType] = {}
    for columns in relations.values():
        for kind in columns.values():
            kinds.setdefault(kind.duckdb, kind)
    lines = ["", "| DuckDB | polars | Parquet |", "|---|---|---|"]
    lines += [f"| `{k.duckdb}` | `{k.polars}` | `{k.parquet}` |" for k in kinds.values()]
    lines += ["", "| relation | type | columns |", "|---|---|---|"]
    for relation, columns in relations.items():
        for name in kinds:
            found = [f"`{column}`" for column, kind in columns.items() if kind.duckdb == name]
            if found:
                lines.append(f"| `{relation}` | `{name}` | {', '.join(found)} |")
    return "\n".join(lines) + "\n\n"


def with_types(text: str) -> str:
    """The README with the section as it is now."""
    return _TYPES.sub(lambda _: types_section(), text)


if __name__ == "__main__":
    print(types_section())
