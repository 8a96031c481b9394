"""Commands that ask questions: `queries`, `query` and `sql`.

Each bundled query is a command of its own below `query`, with its parameters as options, so that
help, completion and click's messages work for them as for everything else.
"""

from __future__ import annotations

from typing import Any

import click

from duckstore import catalogue
from duckstore.cli.options import (
    Chosen,
    complete_session,
    database_option,
    format_option,
    given_text,
    opened,
    pass_chosen,
)
from duckstore.cli.output import write, write_rows

__all__ = ["queries", "query", "sql"]


def _underscored(name: str) -> str:
    """Dashes and underscores are the same in names of queries and parameters."""
    return name.replace("-", "_")


class QueryCommand(click.Command):
    """One bundled query; its help lists the columns too."""

    def __init__(self, query: catalogue.Query) -> None:
        self.query = query
        super().__init__(
            query.name,
            help=f"{query.title}\n\n{query.description}",
            short_help=query.title,
            callback=self._answer,
            params=[_option(query, parameter) for parameter in query.parameters],
        )
        database_option(self)
        format_option(self)

    def _answer(self, **given: Any) -> None:
        chosen = click.get_current_context().ensure_object(Chosen)
        values = {name: value for name, value in given.items() if value is not None}
        bound = catalogue.bind(self.query, values)
        with opened(chosen) as it:
            found = it.access.rows(self.query.sql, bound)
        write_rows(found, chosen.format)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and the columns below them."""
        super().format_options(ctx, formatter)
        with formatter.section("Columns"):
            formatter.write_dl(
                [(n, kind.lower()) for n, kind in catalogue.columns_of(self.query).items()]
            )


_FLAG: dict[str, Any] = {"is_flag": False, "flag_value": "true"}


def _option(query: catalogue.Query, parameter: catalogue.Parameter) -> click.Option:
    default = "null" if parameter.default is None else str(parameter.default).lower()
    return click.Option(
        [f"--{parameter.name.replace('_', '-')}", parameter.name],
        metavar=parameter.type.upper(),
        type=str,
        required=parameter.is_required,
        # A boolean's name alone means true.
        **_FLAG if parameter.type == "boolean" else {},
        help=parameter.help + ("" if parameter.is_required else f"  [default: {default}]"),
        shell_complete=complete_session if parameter.name == "session_id" else None,
    )


class Catalogue(click.Group):
    """The bundled queries as commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(catalogue.load_all())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The query of that name as a command."""
        found = catalogue.load_all().get(_underscored(cmd_name))
        return QueryCommand(found) if found is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the query. Raises UnknownQueryError, with names that are near."""
        if not ctx.resilient_parsing:
            catalogue.find(_underscored(args[0]))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Catalogue,
    subcommand_metavar="NAME [--PARAMETER VALUE]...",
    context_settings={"token_normalize_func": _underscored},
)
@database_option
@format_option
def query() -> None:
    """Run a bundled query. `query NAME --help` tells its parameters and columns."""


@click.command()
@click.argument("name", required=False, shell_complete=lambda c, p, text: _names(text))
@format_option
@pass_chosen
def queries(chosen: Chosen, name: str | None) -> None:
    """List the bundled queries, or describe one of them."""
    if name is None:
        write(
            dict.fromkeys(("name", "topic", "title"), "VARCHAR"),
            [(found.name, found.topic, found.title) for found in catalogue.load_all().values()],
            chosen.format,
        )
        return
    found = catalogue.find(_underscored(name))
    rows: list[tuple[Any, ...]] = [
        ("parameter", p.name, p.type, p.is_required, p.default, p.help) for p in found.parameters
    ]
    rows += [
        ("column", n, kind.lower(), None, None, None)
        for n, kind in catalogue.columns_of(found).items()
    ]
    names = ("part", "name", "type", "is_required", "default", "help")
    write(dict.fromkeys(names, "VARCHAR"), rows, chosen.format)


def _names(start: str) -> list[str]:
    return [name for name in catalogue.load_all() if name.startswith(_underscored(start))]


@click.command()
@click.argument("statement", metavar="SQL")
@database_option
@format_option
@pass_chosen
def sql(chosen: Chosen, statement: str) -> None:
    """Run one reading SQL statement.

    SQL is one select (or from, values, describe, summarize, show, explain) on the store's
    relations; - reads it from standard input.
    """
    text = given_text(statement)
    with opened(chosen) as it:
        found = it.access.rows(text, is_foreign=True)
    write_rows(found, chosen.format)
