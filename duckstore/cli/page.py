"""The page of the catalogue: what can be asked, and what the answers mean, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import click

from duckstore import catalogue
from duckstore.queryfile import Parameter, Query

__all__ = ["write_page"]


def write_page(queries: Iterable[Query]) -> None:
    """Write one section a topic and one entry a query on standard output."""
    for topic, members in groupby(queries, key=lambda query: query.topic):
        click.echo(f"# {topic}\n")
        for query in members:
            click.echo(_entry(query))


def _entry(query: Query) -> str:
    said = [" ".join(paragraph.split()) for paragraph in query.description.split("\n\n")]
    if query.reading:
        said.append(f"**How to read it.** {query.reading}")
    if query.action:
        said.append(f"**What to do.** {query.action}")
    if query.parameters:
        said.append("Parameters:\n\n" + "\n".join(map(_parameter, query.parameters)))
    columns = [f"`{n}` {kind.lower()}" for n, kind in catalogue.columns_of(query).items()]
    said.append(f"Columns: {', '.join(columns)}.")
    return f"## {query.name}\n\n**{query.title}**\n\n" + "\n\n".join(said) + "\n"


def _parameter(parameter: Parameter) -> str:
    default = "required" if parameter.is_required else f"default {parameter.default_sql}"
    return f"- `{parameter.name}` ({parameter.type}, {default}): {parameter.help}"
