"""What every reader of a format gets: the beginning of a file, its lines, and who is told.

A file from elsewhere may be damaged anywhere. Its lines are read so that what is good comes out:
up to the place where a gzip file breaks off, with a byte order mark or without, and past a line
that is too long to be held. Every loss is told.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import orjson

from duckstore.encoding import is_exact
from duckstore.formats.documents import open_document, text_encoding

__all__ = ["Line", "Sample", "Skipper", "decode_line", "json_lines", "lines", "take_sample"]

HEAD_SIZE = 1 << 16
VALUE_COUNT = 20
LARGEST_LINE = 1 << 28
"""Bytes of the longest line that is read (256 MiB): what is longer is no conversation."""
_CHUNK = 1 << 20
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a gzip file raises where it is cut short or changed."""


class Skipper(Protocol):
    """Who is told what a reader leaves out, and how far it is."""

    def skip(self, place: str, reason: str) -> None:
        """Something was left out, or was not taken as it stands."""

    def advance(self, done: int) -> None:
        """So many bytes of the file were read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file: what its format is told from."""

    path: Path
    is_folder: bool = False
    head: bytes = b""
    """The first 64 KiB; of a gzip file, of what is in it."""
    values: tuple[Any, ...] = ()
    """The first complete lines of the head that are JSON, 20 at most, decoded."""
    is_gzip: bool = False


class Line(NamedTuple):
    """A line of a file."""

    number: int
    """It counts from 1."""
    text: bytes
    """UTF-8 (where a surrogate stands alone, as Python writes it with "surrogatepass")."""
    done: int
    """How many bytes of the file were read with it."""


def take_sample(path: Path) -> Sample:
    """Read the beginning of a file. Of a folder there is none.

    Raises:
        ImportFileError: It is not there, no file, or may not be read.
    """
    with suppress(OSError):  # that is told when it is opened
        if path.is_dir():
            return Sample(path, is_folder=True)
    with open_document(path) as (stream, raw):
        is_gzip = stream is not raw
        head, is_whole = _head(stream)
    encoding = text_encoding(head)
    text = head.decode(encoding, errors="replace").encode(errors="replace")
    values = tuple(_values(text if is_whole else text.rpartition(b"\n")[0]))
    return Sample(path, head=head, values=values, is_gzip=is_gzip)


def _head(stream: IO[bytes]) -> tuple[bytes, bool]:
    """The first bytes, and whether they are all."""
    pieces: list[bytes] = []
    size = 0
    try:
        while size < HEAD_SIZE and (piece := stream.read(min(4096, HEAD_SIZE - size))):
            pieces.append(piece)
            size += len(piece)
    except DAMAGE:
        return b"".join(pieces), False
    return b"".join(pieces), size < HEAD_SIZE


def _values(text: bytes) -> Iterator[Any]:
    count = 0
    for line in text.split(b"\n"):
        if count == VALUE_COUNT:
            return
        try:
            value = decode_line(line)
        except ValueError:
            continue
        count += 1
        yield value


def decode_line(line: bytes) -> Any:
    """The JSON value of a line: what Python's `json` makes of it, mostly at four times its speed.

    Raises:
        ValueError: It is no JSON, or nested too deeply to be read.
    """
    if is_exact(line):
        try:
            return orjson.loads(line)
        except ValueError:
            pass  # NaN, lone surrogates, deep nesting, or damage: json tells which
    try:
        return json.loads(line.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def json_lines(path: Path, report: Skipper) -> Iterator[tuple[int, Any, int]]:
    """The values of a file of JSON lines: number of the line, value, bytes of the file read.

    A line that is no JSON is told and left out; so is what `lines` says of itself.

    Raises:
        ImportFileError: The file cannot be opened or read.
    """
    for number, text, done in lines(path, report):
        try:
            value = decode_line(text)
        except ValueError as error:
            report.skip(f"line {number}", f"not JSON: {error}")
            continue
        yield number, value, done


def lines(path: Path, report: Skipper) -> Iterator[Line]:
    """The lines of a plain or a gzip file, without those that are empty.

    A byte order mark for UTF-8 or UTF-16 is understood. Single bytes that are no UTF-8
    are read as Windows-1252, of which they mostly are, and the rest of their line as UTF-8; the
    report is told. A line of more than 256 MiB is told and left out. Where a gzip file breaks off,
    the lines before come out, and the beginning of the last one, too.

    Raises:
        ImportFileError: The file cannot be opened or read.
    """
    with open_document(path) as (stream, raw):
        for number, (text, done) in enumerate(_split(stream, raw, report), start=1):
            if text is None:
                limit = f"{LARGEST_LINE >> 20} MiB"
                report.skip(f"line {number}", f"it is longer than {limit}, the most that is read")
            elif text and not text.isspace():
                yield Line(number, _repaired(text, number, report), done)


def _split(
    stream: IO[bytes], raw: IO[bytes], report: Skipper
) -> Iterator[tuple[bytes | None, int]]:
    """The lines, None for one that is too long, with the bytes of the file read so far."""
    pieces: list[bytes] = []
    size = 0
    done = 0
    for chunk in _chunks(stream, report):
        done = raw.tell()
        first, *rest = chunk.split(b"\n")
        size += len(first)
        if size <= LARGEST_LINE:
            pieces.append(first)
        else:
            pieces.clear()
        if not rest:
            continue
        yield (b"".join(pieces) if size <= LARGEST_LINE else None), done
        last = rest.pop()
        for line in rest:
            yield line, done
        pieces, size = [last], len(last)
    yield (b"".join(pieces) if size <= LARGEST_LINE else None), done


def _chunks(stream: IO[bytes], report: Skipper) -> Iterator[bytes]:
    """The bytes of a file as UTF-8, without its byte order mark."""
    decoder: codecs.IncrementalDecoder | None = None
    is_first = True
    while True:
        try:
            chunk = stream.read1(_CHUNK)  # type: ignore[attr-defined]  # both kinds have it
        except DAMAGE as error:
            report.skip("the end", f"the file breaks off: {error}")
            return
        if not chunk:
            return
        if is_first:
            is_first = False
            encoding = text_encoding(chunk)
            if encoding != "utf-8-sig":
                decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        if decoder is not None:
            chunk = decoder.decode(chunk).encode("utf-8", "surrogatepass")
        yield chunk


def _repaired(text: bytes, number: int, report: Skipper) -> bytes:
    """The line as UTF-8, whatever it is."""
    if b"\0" in text:  # in no JSON text
        return _without_zeros(text.removeprefix(b"\0"), number, report)
    if text.isascii():
        return text
    try:
        text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        decoded = text.decode("utf-8", "duckstore-windows")
        reason = "taken, but not all of it is UTF-8: the rest was read as Windows-1252"
        report.skip(f"line {number}", reason)
        return decoded.encode("utf-8", "surrogatepass")
    return text


def _without_zeros(text: bytes, number: int, report: Skipper) -> bytes:
    """The line of a program that wrote UTF-16 into a file of something else."""
    if b"\0" not in text:  # it is the line after such a one, with the second half of its end
        return _repaired(text, number, report)
    try:
        decoded = (text + b"\0" * (len(text) % 2)).decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return text
    report.skip(f"line {number}", "taken, but it was read as UTF-16, unlike the first line")
    return decoded.encode("utf-8", "surrogatepass")


def _as_windows(error: UnicodeError) -> tuple[str | bytes, int]:
    """Read the bytes that are no UTF-8 as Windows-1252, or as Latin-1 where that has no sign."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    try:
        # A surrogate that stands alone, as other programs write it: three bytes.
        return error.object[error.start :][:3].decode("utf-8", "surrogatepass"), error.start + 3
    except UnicodeDecodeError:
        pass
    try:
        return wrong.decode("cp1252"), error.end
    except UnicodeDecodeError:
        return wrong.decode("latin-1"), error.end


codecs.register_error("duckstore-windows", _as_windows)
