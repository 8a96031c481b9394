"""The import at work: from files to commands, with what the store has already left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from duckstore import errors
from duckstore.access import Access
from duckstore.formats import check_options
from duckstore.importing.known import Known, KnownSession
from duckstore.importing.preparing import Prepared, prepare
from duckstore.importing.report import FileReport, ImportReport, Skipped, Skips
from duckstore.importing.sending import Sending
from duckstore.importing.sources import Source, Sources, find_sources

__all__ = ["import_file"]

CONFLICTS = ("skip", "rename")
CHUNK_SESSIONS = 64
CHUNK_ITEMS = 4_000
"""So many conversations, or items, are compared with the store at a time."""
MOST_PROBLEMS = 20
"""How many problems a strict import names."""

Progress = Callable[[int, int], None]


def import_file(
    access: Access,
    path: str | os.PathLike[str],
    *,
    format_name: str | None = None,
    dry_run: bool = False,
    strict: bool = False,
    on_conflict: str = "skip",
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> ImportReport:
    """Import conversations; the arguments are those of `Store.import_file`."""
    if on_conflict not in CONFLICTS:
        raise errors.ArgumentError(
            f"on_conflict is {on_conflict!r}: choose one of {', '.join(CONFLICTS)}"
        )
    if not dry_run:
        access.check_writable()
    sources = find_sources(path, format_name)
    for source in sources.found:
        check_options(source.reader, options or {})
    tell = _Progress(progress, sources, times=2 if strict and not dry_run else 1)
    work = _Import(access, sources, on_conflict, options or {}, tell)
    if not strict:
        return work.run(dry_run=dry_run)
    would = work.run(dry_run=True)
    _refuse_problems(path, would)
    return would if dry_run else work.run(dry_run=False)


def _refuse_problems(path: str | os.PathLike[str], report: ImportReport) -> None:
    problems = [f"{place}: {reason}" for place, reason in report.skipped]
    problems += [f"{file.path}: {file.error}" for file in report.files if file.error]
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise errors.ImportFileError(
            f"nothing of {os.fspath(path)} was imported, because not all of it can be: "
            + "; ".join(problems[:MOST_PROBLEMS])
            + (f"; and {more} more" if more > 0 else "")
        )


class _Progress:
    """Tells how many bytes of all files are read."""

    def __init__(self, tell: Progress | None, sources: Sources, times: int) -> None:
        self._tell = tell
        self._total = times * sum(source.size for source in sources.found)
        self._before = 0

    def within(self, done: int) -> None:
        """So many bytes of the current file are read."""
        if self._tell is not None:
            self._tell(min(self._before + done, self._total), self._total)

    def end(self, source: Source) -> None:
        """A file is done."""
        self._before += source.size
        self.within(0)


class _Import:
    """One import of some files."""

    def __init__(
        self,
        access: Access,
        sources: Sources,
        on_conflict: str,
        options: Mapping[str, Any],
        progress: _Progress,
    ) -> None:
        self._access, self._sources, self._options = access, sources, options
        self._renames = on_conflict == "rename"
        self._progress = progress

    def run(self, *, dry_run: bool) -> ImportReport:
        """Read everything, and import it or only say what would be imported."""
        report = ImportReport(ignored=[str(path) for path in self._sources.ignored])
        with Sending(self._access) as sending:
            place = _Placing(self._access, sending, renames=self._renames, dry_run=dry_run)
            for source in self._sources.found:
                report.files.append(FileReport(str(source.path), source.reader.NAME))
                try:
                    self._read(source, report.files[-1], place)
                except errors.ImportFileError as error:
                    if not self._sources.is_folder:
                        raise
                    report.files[-1].error = str(error)
                self._progress.end(source)
            sending.finish()
        for path, reason in self._sources.unreadable:
            report.files.append(FileReport(str(path), "", error=reason))
        return report

    def _read(self, source: Source, report: FileReport, place: _Placing) -> None:
        skips = Skips(report, self._progress.within)
        # An address stands for a path with the one format that takes it.
        transcripts = source.reader.read(source.path, skips, **self._options)  # type: ignore[arg-type]
        for chunk in _chunks(self._prepared(source, transcripts, report)):
            place.take(chunk, report)

    def _prepared(
        self, source: Source, transcripts: Iterable[Any], report: FileReport
    ) -> Iterator[Prepared]:
        are_json = getattr(source.reader, "ARE_JSON", False)
        in_pieces = getattr(source.reader, "COMES_IN_PIECES", False)
        for transcript in transcripts:
            try:
                yield prepare(
                    self._access, transcript, are_json=are_json, comes_in_pieces=in_pieces
                )
            except (errors.ImportFileError, errors.ItemError, errors.ArgumentError) as error:
                where = transcript.place or f"session {transcript.session_id!r}"
                report.skipped.append(Skipped(where, str(error)))


def _chunks(conversations: Iterable[Prepared]) -> Iterator[list[Prepared]]:
    chunk: list[Prepared] = []
    item_count = 0
    for conversation in conversations:
        chunk.append(conversation)
        item_count += len(conversation.raws)
        if len(chunk) >= CHUNK_SESSIONS or item_count >= CHUNK_ITEMS:
            yield chunk
            chunk, item_count = [], 0
    if chunk:
        yield chunk


class _Placing:
    """Brings conversations to their sessions."""

    def __init__(self, access: Access, sending: Sending, *, renames: bool, dry_run: bool) -> None:
        self._access, self._sending = access, sending
        self._renames, self._dry_run = renames, dry_run
        self._known = Known(access)
        self._touched: set[int] = set()
        """Hashes of the ids of the sessions that this import has written to."""
        self._imagined: dict[str, KnownSession] = {}
        """What the sessions would be after a dry run."""

    def take(self, chunk: list[Prepared], report: FileReport) -> None:
        """Import some conversations."""
        ids = (each.session_id for each in chunk if not self._was_touched(each.session_id))
        stored = self._known.sessions(dict.fromkeys(ids))
        for conversation in chunk:
            self._place(conversation, conversation.session_id, stored, report)

    def _place(
        self,
        conversation: Prepared,
        session_id: str,
        stored: dict[str, KnownSession],
        report: FileReport,
    ) -> None:
        """Import a conversation as the session of that id, or as the next of its names."""
        while True:
            session = self._session(session_id, stored)
            if session is None:
                break
            difference = session.compare(conversation)
            if not difference.is_another:
                if not difference:
                    report.unchanged_count += 1
                    return
                break
            if not self._renames:
                _tell_another(conversation, session_id, report)
                return
            session_id = _next_name(conversation.session_id, session_id)
        if self._dry_run:
            self._imagine(conversation, session_id, session, report)
        else:
            self._send(conversation, session_id, report)

    def _session(self, session_id: str, stored: dict[str, KnownSession]) -> KnownSession | None:
        """What is known of a session; None where it is new, or must be asked when it is written."""
        if self._was_touched(session_id):
            return self._imagined.get(session_id)
        if session_id not in stored and self._known.may_have(session_id):
            stored |= self._known.sessions([session_id])
        return stored.get(session_id)

    def _was_touched(self, session_id: str) -> bool:
        return session_id in self._imagined or hash(session_id) in self._touched

    def _send(self, conversation: Prepared, session_id: str, report: FileReport) -> None:
        def take(answer: Mapping[str, Any]) -> None:
            name = session_id
            while answer["is_another"]:
                if not self._renames:
                    _tell_another(conversation, name, report)
                    return
                name = _next_name(conversation.session_id, name)
                answer = self._run(conversation, name)
            _count(answer, report)

        if self._renames and self._was_touched(session_id):
            # Who comes first has the first name: so the same names are found the next time.
            self._sending.wait()
            take(self._run(conversation, session_id))
        else:
            self._touched.add(hash(session_id))
            self._sending.send(conversation.command(session_id), take)

    def _run(self, conversation: Prepared, session_id: str) -> Any:
        self._touched.add(hash(session_id))
        return self._access.run(conversation.command(session_id))

    def _imagine(
        self,
        conversation: Prepared,
        session_id: str,
        session: KnownSession | None,
        report: FileReport,
    ) -> None:
        """Count what would be imported, and know it from now on."""
        is_new = session is None
        session = session or KnownSession()
        would = session.compare(conversation)
        session.take(conversation)
        self._imagined[session_id] = session
        counts = {"items": would.item_count, "responses": would.response_count}
        _count({"is_new": is_new, **counts}, report)


def _tell_another(conversation: Prepared, session_id: str, report: FileReport) -> None:
    reason = (
        f"session {session_id!r} is in the store with another conversation: it was left out. "
        "Import it with on_conflict='rename' to have both"
    )
    report.skipped.append(Skipped(conversation.place, reason))


def _count(answer: Mapping[str, Any], report: FileReport) -> None:
    report.item_count += answer["items"]
    if answer["is_new"]:
        report.session_count += 1
    elif answer["items"] or answer["responses"]:
        report.grown_count += 1
    else:
        report.unchanged_count += 1


def _next_name(session_id: str, latest: str) -> str:
    """The next of the names of a conversation whose id stands for another one."""
    number = 1 if latest == session_id else int(latest[len(session_id) + 1 :])
    return f"{session_id}~{number + 1}"
