"""JSON documents that are read piece by piece.

A data export is one list of a gigabyte. `elements` gives the values of the outer list one by one
and holds no more of it than the largest of them; a document that is one object is one value. What
stands before the place where a document breaks off is given.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from duckstore import errors

__all__ = ["Breakage", "elements", "first_value", "open_document", "text_encoding"]

GZIP_MAGIC = b"\x1f\x8b"

_CHUNK = 1 << 20
LARGEST_VALUE = 1 << 28
"""Characters of the largest value that is read; what is larger is no conversation."""
_LONGEST_WORD = 16
"""An error nearer to the end than this may be a word or an escape that goes on."""
_decoder = json.JSONDecoder()
_SPACE = " \t\r\n"
_NUMBER = "0123456789.+-eE"
_SEPARATOR = re.compile(r"[\s,]*")


_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)
"""What reading a compressed file raises where it is cut short or changed."""


class Breakage(Exception):  # noqa: N818  # it is no error of the caller
    """The document breaks off or is no JSON from here on; the message says which."""


@contextmanager
def open_document(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a plain or a gzip file: its bytes, and the file whose position tells how far one is.

    Raises:
        ImportFileError: It cannot be opened or read, at any time while it is open.
    """
    try:
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no file" if path.exists() else "not there"
            raise errors.ImportFileError(f"{path} is {kind}: give a file")
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            yield (cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if is_gzip else raw), raw
    except OSError as error:
        raise errors.ImportFileError(
            f"{path} cannot be read: {error.strerror or error}. Check the path and its rights"
        ) from error


def text_encoding(head: bytes) -> str:
    """The encoding that a byte order mark at the beginning names; UTF-8 where there is none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


class _Text:
    """The text of a document from a place on, read as far as it was asked for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        try:
            first = stream.read(_CHUNK)
        except _DAMAGE as error:
            raise Breakage(f"the file breaks off: {error}") from error
        decoder = codecs.getincrementaldecoder(text_encoding(first))
        # A byte that is no UTF-8 becomes U+FFFD: the rest of its text is worth more than nothing.
        self._decode = decoder(errors="replace")
        self.buffer = self._decode.decode(first, final=not first)
        self.position = 0
        self.is_complete = not first

    def more(self) -> bool:
        """Read as much again as there is; False at the end of the document."""
        if self.is_complete:
            return False
        try:
            chunk = self._stream.read(max(_CHUNK, len(self.buffer) - self.position))
        except _DAMAGE as error:
            raise Breakage(f"the file breaks off: {error}") from error
        self.is_complete = not chunk
        rest = self._decode.decode(chunk, final=self.is_complete)
        self.buffer = self.buffer[self.position :] + rest
        self.position = 0
        return True

    def skip(self) -> str:
        """Pass over spaces and commas. The character that follows, or "" at the end."""
        while True:
            found = _SEPARATOR.match(self.buffer, self.position)
            self.position = found.end() if found else self.position
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self.more():
                return ""

    def value(self) -> Any:
        """The JSON value that begins here. Raises Breakage where there is no whole one."""
        while True:
            try:
                value, end = _decoder.raw_decode(self.buffer, self.position)
            except RecursionError as error:
                raise Breakage("it is nested too deeply to be read") from error
            except json.JSONDecodeError as error:
                if not self._is_wrong(error) and self.more():
                    continue
                raise Breakage(f"it breaks off or is no JSON here: {error.msg}") from error
            if not (isinstance(value, (int, float)) and self._may_go_on(end)) or not self.more():
                self.position = end
                return value

    def _may_go_on(self, end: int) -> bool:
        """Whether what was read ends within a number."""
        return len(self.buffer) - end < _LONGEST_WORD and not self.buffer[end:].strip(_NUMBER)

    def _is_wrong(self, error: json.JSONDecodeError) -> bool:
        """Whether more of the document would not help."""
        if len(self.buffer) - self.position > LARGEST_VALUE:
            return True
        is_inside = error.pos < len(self.buffer) - _LONGEST_WORD
        return is_inside and not error.msg.startswith("Unterminated")


def elements(stream: IO[bytes], advance: Callable[[], None] = lambda: None) -> Iterator[Any]:
    """The values of a document's outer list, or those that stand in it one after the other.

    Args:
        stream: The document's bytes: UTF-8, or UTF-16 with a byte order mark.
        advance: Called after each value.

    Raises:
        Breakage: After the values before it: the document breaks off or is no JSON.
    """
    document = _Text(stream)
    opening = document.skip()
    if not opening:
        raise Breakage("it is empty")
    if opening != "[":
        while document.skip():
            yield document.value()
            advance()
        return
    document.position += 1
    while (following := document.skip()) != "]":
        if not following:
            raise Breakage("its list does not end")
        yield document.value()
        advance()


def first_value(head: bytes) -> Any:
    """The first object of a document, also of one in a list, from the document's first bytes.

    Of an object that goes on beyond them, its first keys: those whose values are whole, and the
    one that is not with what can be told of it in the same way. None where there is no object.
    """
    return _beginning(head.decode(text_encoding(head), errors="ignore"), 3)


_KEY = re.compile(r'[\s,]*"((?:[^"\\]|\\.)*)"\s*:\s*')


def _beginning(text: str, depth: int) -> Any:
    text = text.lstrip(_SPACE)
    if text.startswith("["):
        text = text[1:].lstrip(_SPACE)
    if not text.startswith("{"):
        return None
    try:
        return _decoder.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return _first_keys(text, depth - 1) if depth else None


def _first_keys(text: str, depth: int) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    position = 1
    while key := _KEY.match(text, position):
        try:
            found[key[1]], position = _decoder.raw_decode(text, key.end())
        except (ValueError, RecursionError):
            rest = text[key.end() :]
            inner = _beginning(rest, depth)
            found[key[1]] = [inner] if rest.startswith("[") else inner
            break
    return found or None
