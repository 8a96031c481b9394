"""Commands that ask questions: `queries`, `query` and `sql`.

Each query of the catalogue is a command of its own below `query`, with its parameters as options,
so that help, completion and click's messages work for them as for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from duckstore import catalogue
from duckstore.cli.options import (
    Chosen,
    asked,
    complete_session,
    database_option,
    format_option,
    given_text,
    opened,
    pass_chosen,
    queries_option,
)
from duckstore.cli.output import write, write_rows
from duckstore.cli.page import write_page
from duckstore.cli.program import note
from duckstore.queryfile import Parameter, Query, bind

__all__ = ["queries", "query", "sql"]


def _underscored(name: str) -> str:
    """Dashes and underscores are the same in names of queries and parameters."""
    return name.replace("-", "_")


def _display(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Chosen).display = parameter.opts[0].removeprefix("--")


_show_option = click.option(
    "--show",
    is_flag=True,
    expose_value=False,
    callback=_display,
    help="Print the query's text and do not run it.",
)
_explain_option = click.option(
    "--explain",
    is_flag=True,
    expose_value=False,
    callback=_display,
    help="Print DuckDB's plan for it and do not run it.",
)
_plot_option = click.option(
    "--plot",
    "plot",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw its plot into a file: .svg, .png, .html (needs no network) or .json (Vega-Lite).",
)


class QueryCommand(click.Command):
    """One query; its help lists the columns too."""

    def __init__(self, query: Query) -> None:
        self.query = query
        paragraphs = (query.title, query.description, query.reading, query.action)
        super().__init__(
            query.name,
            help="\n\n".join(filter(None, paragraphs)),
            short_help=query.title,
            callback=self._answer,
            params=[_option(parameter) for parameter in query.parameters],
        )
        shared = (database_option, queries_option, format_option, _show_option, _explain_option)
        for option in (*shared, _plot_option):
            option(self)

    def _answer(self, plot: Path | None = None, **given: Any) -> None:
        chosen = click.get_current_context().ensure_object(Chosen)
        query = self.query
        if plot is not None:
            self._draw(chosen, plot, given)
            return
        if chosen.display == "show":
            click.echo(query.sql, nl=False)
            return
        bound = bind(query, {name: value for name, value in given.items() if value is not None})
        with asked(chosen) as store:
            if chosen.display == "explain":
                # Values are in the plan: what a filter lets through decides on much of it.
                found = store._rows(f"explain {query.sql}", bound, is_foreign=query.is_own)
                click.echo("\n".join(row[-1] for row in found.rows), nl=False)
                return
            found = store._rows(query.sql, bound, is_foreign=query.is_own)
        write_rows(found, chosen.format)

    def _draw(self, chosen: Chosen, target: Path, given: Mapping[str, Any]) -> None:
        """Draw the query's plot into a file. What can be told before the store is asked is."""
        if chosen.display != "rows" or chosen.format != "table":
            raise click.UsageError("--plot draws a picture: leave out --show, --explain, --format.")
        from duckstore.plots import check_target, draw, plot_of, write_chart

        plot_of(self.query.name)
        check_target(target)
        with asked(chosen) as store:
            chart = draw(self.query, {n: v for n, v in given.items() if v is not None}, store._rows)
        write_chart(chart, target)
        note(f"wrote {target}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and the columns below them."""
        super().format_options(ctx, formatter)
        with formatter.section("Columns"):
            formatter.write_dl(
                [(n, kind.lower()) for n, kind in catalogue.columns_of(self.query).items()]
            )


_FLAG: dict[str, Any] = {"is_flag": False, "flag_value": "true"}


def _option(parameter: Parameter) -> click.Option:
    default = "null" if parameter.default is None else str(parameter.default).lower()
    need = "required" if parameter.is_required else f"default: {default}"
    return click.Option(
        [f"--{parameter.name.replace('_', '-')}", parameter.name],
        metavar=parameter.type.upper(),
        type=str,
        # A boolean's name alone means true.
        **_FLAG if parameter.type == "boolean" else {},
        help=f"{parameter.help}  [{need}]",
        shell_complete=complete_session if parameter.name == "session_id" else None,
    )


def _loaded(context: click.Context | None = None) -> catalogue.Catalogue:
    """The catalogue with the user's own queries."""
    chosen = (context or click.get_current_context()).ensure_object(Chosen)
    return catalogue.load(chosen.queries)


class Catalogue(click.Group):
    """The queries as commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(_loaded(ctx).queries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The query of that name as a command."""
        found = _loaded(ctx).queries.get(_underscored(cmd_name))
        return QueryCommand(found) if found is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the query. Raises UnknownQueryError, with names that are near."""
        # Its name may come before the folder that it is in.
        for place, word in enumerate(args):
            name, equals, folder = word.partition("=")
            if name == "--queries" and (equals or args[place + 1 :]):
                ctx.ensure_object(Chosen).queries = folder if equals else args[place + 1]
        if not ctx.resilient_parsing:
            _loaded(ctx).find(_underscored(args[0]))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Catalogue,
    subcommand_metavar="NAME [--PARAMETER VALUE]...",
    context_settings={"token_normalize_func": _underscored},
)
@database_option
@queries_option
@format_option
@_show_option
@_explain_option
def query() -> None:
    """Run a query of the catalogue. `query NAME --help` tells its parameters and columns."""


@click.command()
@click.argument("name", required=False, shell_complete=lambda c, p, text: _names(c, text))
@click.option("--install", is_flag=True, help="Put each into the store, as a macro of its name.")
@database_option
@queries_option
@format_option
@pass_chosen
def queries(chosen: Chosen, name: str | None, install: bool) -> None:
    """List the queries of the catalogue, or describe one of them.

    In the format markdown it is a page to read: what each query answers, how to read its figures,
    and what to do about them.
    """
    if install:
        if name is not None:
            raise click.UsageError("--install takes all queries: leave out the name.")
        with opened(chosen) as it:
            names = it.store.install_queries()
        note(f"{len(names)} queries are macros in the store: from {names[0]}()")
        return
    found = _loaded()
    if name is not None:
        _describe(found.find(_underscored(name)), chosen.format)
        return
    if chosen.format == "markdown":
        write_page(found.queries.values())
    else:
        rows = [(each.name, each.topic, each.title) for each in found.queries.values()]
        write(dict.fromkeys(("name", "topic", "title"), "VARCHAR"), rows, chosen.format)
    for problem in found.problems.values():
        note(f"Left out: {problem}")


def _describe(query: Query, style: str) -> None:
    """Parameters and columns of one query, as rows; in markdown as they stand on the page."""
    if style == "markdown":
        write_page([query])
        return
    rows: list[tuple[Any, ...]] = [
        ("parameter", p.name, p.type, p.is_required, p.default, p.help) for p in query.parameters
    ]
    rows += [
        ("column", n, kind.lower(), None, None, None)
        for n, kind in catalogue.columns_of(query).items()
    ]
    names = ("part", "name", "type", "is_required", "default", "help")
    write(dict.fromkeys(names, "VARCHAR"), rows, style)


def _names(context: click.Context, start: str) -> list[str]:
    return [name for name in _loaded(context).queries if name.startswith(_underscored(start))]


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
    with asked(chosen) as store:
        found = store._rows(text, is_foreign=True)
    write_rows(found, chosen.format)
