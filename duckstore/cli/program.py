"""How the program begins and ends: errors, exit codes, and what the terminal is told.

Every way out leads through `Program.main`: an error that was foreseen is one line on standard
error and an exit code, never a traceback. Standard output is data and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import click

from duckstore import errors
from duckstore.cli.text import visible

__all__ = ["ExitCode", "Program", "note"]


class ExitCode(IntEnum):
    """What the program tells its caller."""

    OK = 0
    FAILURE = 1
    """It could not be done, or `check` found something."""
    USAGE = 2
    """The command line is wrong."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells have it."""


class _ClosedPipe(Exception):  # noqa: N818  # it is no error
    """The reader of our output is gone."""


_USAGE_ERRORS = (errors.UnknownQueryError, errors.ParameterError)


def note(text: str) -> None:
    """Tell the user something on standard error."""
    click.echo(visible(text, lines=True), err=True)


class Program(click.Group):
    """The command group. Its `main` is the only place that turns errors into exit codes."""

    def main(  # type: ignore[override]
        self, args: Any = None, prog_name: Any = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run the program; with `standalone_mode` exit with its code."""
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **extra)
        _prepare_output()
        try:
            code = self._run(args, prog_name, extra)
            with _noticing_closed_pipe():
                sys.stdout.flush()
        except _ClosedPipe:
            code = _give_up_output()
        sys.exit(int(code))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; `--help` prints here."""
        with _noticing_closed_pipe():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _noticing_closed_pipe():
            return super().invoke(ctx)

    def _run(self, args: Any, prog_name: Any, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            return ExitCode.INTERRUPTED
        except errors.DuckstoreError as error:
            # DuckDB marks the place of a mistake in SQL on lines of its own.
            is_sql = isinstance(error, errors.SQLError)
            text = str(error) if is_sql else " ".join(str(error).splitlines())
            note(f"Error: {text}")
            return ExitCode.USAGE if isinstance(error, _USAGE_ERRORS) else ExitCode.FAILURE
        except OSError as error:
            note(f"Error: {error}")
            return ExitCode.FAILURE
        return code if isinstance(code, int) else ExitCode.OK


def _prepare_output() -> None:
    """Write UTF-8 into files and pipes, and never fail on a character that cannot be written.

    A lone surrogate comes out as `\\udXXX`, which in JSON is what it is.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            encoding = None if stream.isatty() else "utf-8"
            reconfigure(encoding=encoding, errors="backslashreplace")


@contextmanager
def _noticing_closed_pipe() -> Iterator[None]:
    """Tell the end of the pipe from other errors: click would make it exit code 1."""
    try:
        yield
    except BrokenPipeError:
        raise _ClosedPipe from None


def _give_up_output() -> ExitCode:
    """End quietly when the reader of our output is gone, as after `| head`."""
    # What is still buffered would fail once more when the interpreter closes the stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return ExitCode.OK
