"""The command `export`: a store as Parquet, and in the forms of others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from duckstore import errors
from duckstore.cli.options import Chosen, Opened, database_option, opened, pass_chosen
from duckstore.cli.output import progress, write
from duckstore.cli.program import ExitCode, note

if TYPE_CHECKING:
    from duckstore.exporting.writing import ExportReport

__all__ = ["export"]

KINDS = ("parquet", "jsonl", "chat", "sqlite-session")
PATTERNS = ("email", "phone", "card", "keys")
_WRITING = ("since", "sessions", "partition_by", "no_text", "redact", "follow")
MOMENTS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z")


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@database_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(KINDS),
    default="parquet",
    show_default=True,
    help="What is written. (How the report is printed is said before the command: "
    "`duckstore --format json export ...`.)",
)
@click.option(
    "--since",
    type=click.DateTime(MOMENTS),
    help="Only sessions of which something is as late as this, in UTC.",
)
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only these sessions.")
@click.option(
    "--partition-by",
    type=click.Choice(["day", "month", "year", "none"]),
    default="month",
    show_default=True,
    help="By when a session began, in UTC.",
)
@click.option("--no-text", is_flag=True, help="Texts, arguments and outputs as hash and length.")
@click.option(
    "--redact",
    multiple=True,
    type=click.Choice([*PATTERNS, "all"]),
    help="Replace what looks like this in texts; may be given several times.",
)
@click.option(
    "--follow", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Go on until Ctrl-C."
)
@click.option("--verify", is_flag=True, help="Write nothing; prove that folder and store agree.")
@pass_chosen
def export(chosen: Chosen, /, target: Path, kind: str, **options: Any) -> ExitCode:
    """Write a store as Parquet files, or in the forms of others.

    TARGET is a folder for Parquet, which is made if need be. A second export to it writes what has
    changed; what was purged is gone from it then. For the other forms it is a file.
    """
    since = options["since"]
    if since is not None and since.tzinfo is None:
        options["since"] = since.replace(tzinfo=UTC)
    if kind != "parquet":
        return _transcribe(chosen, target, kind, options)
    with opened(chosen) as it:
        if options["verify"]:
            _refuse(_WRITING, "is for writing, and --verify writes nothing")
            return _verify(it, target, chosen.format)
        report = _export(it, target, options)
        _tell(report, chosen.format)
        if options["follow"] is not None:
            _follow(it, target, options)
    return ExitCode.OK


def _refuse(names: Sequence[str], why: str) -> None:
    """Refuse options that would do nothing."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) != ParameterSource.DEFAULT:
            option = {"sessions": "session"}.get(name, name).replace("_", "-")
            raise click.UsageError(f"--{option} {why}.")


def _export(it: Opened, target: Path, options: dict[str, Any]) -> ExportReport:
    by, redact = options["partition_by"], options["redact"]
    with progress("Writing Parquet") as advance:
        report = it.store.export_parquet(
            target,
            since=options["since"],
            sessions=options["sessions"] or None,
            partition_by=None if by == "none" else by,
            text=not options["no_text"],
            redact=(PATTERNS if "all" in redact else redact) or None,
            progress=advance,
        )
    for path in report.foreign_files if report.is_changed or options["follow"] is None else ():
        note(f"{path} is no file of the export, and other tools read it too: move it away")
    return report


def _tell(report: ExportReport, form: str) -> None:
    rows = [
        (name, count, str(Path(report.folder) / name)) for name, count in report.row_counts.items()
    ]
    write({"relation": "VARCHAR", "row_count": "BIGINT", "folder": "VARCHAR"}, rows, form)
    note(
        f"{report.session_count} sessions; {report.written_count} files written, "
        f"{report.kept_count} as they were, {report.removed_count} removed"
    )


def _follow(it: Opened, target: Path, options: dict[str, Any]) -> None:
    note(f"Following {it.store.path}; Ctrl-C ends it")
    while True:
        time.sleep(options["follow"])
        try:
            report = _export(it, target, options)
        except errors.DuckstoreError as error:
            note(f"{error}; trying again in {options['follow']:g} s")
            continue
        if report.is_changed:
            now = datetime.now(UTC).strftime("%H:%M:%S")
            note(f"{now} UTC: {report.written_count} files written")


def _verify(it: Opened, target: Path, form: str) -> ExitCode:
    with progress("Comparing"):
        findings = it.store.verify_export(target)
    if not findings:
        note("the folder and the store agree")
        return ExitCode.OK
    write(
        dict.fromkeys(("relation", "message"), "VARCHAR"),
        [(finding.rule, finding.message) for finding in findings],
        form,
    )
    return ExitCode.FAILURE


def _transcribe(chosen: Chosen, target: Path, kind: str, options: dict[str, Any]) -> ExitCode:
    """Write conversations in a form that others read."""
    only = ("since", "partition_by", "no_text", "redact", "follow", "verify")
    _refuse(only, f"is for --format parquet, not for {kind}")
    with opened(chosen) as it, progress(f"Writing {kind}") as advance:
        write_as = {
            "jsonl": it.store.export_jsonl,
            "chat": it.store.export_chat,
            "sqlite-session": it.store.export_sqlite_session,
        }[kind]
        report = write_as(target, sessions=options["sessions"] or None, progress=advance)
    for what, count in sorted(report.left_out.items()):
        note(f"{count} left out: {what}")
    write(
        {"file": "VARCHAR", "session_count": "BIGINT", "item_count": "BIGINT"},
        [(str(target), report.session_count, report.item_count)],
        chosen.format,
    )
    return ExitCode.OK
