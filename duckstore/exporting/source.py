"""Where the files of an export are, for who reads it: a folder, or some of its files by a pattern.

Where there is a manifest it tells which files make the state that counts. Files that were copied
without it, or that duckstore 0.5 wrote, are taken as they lie there.
"""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from duckstore import errors
from duckstore.exporting.folder import PRIVATE, Folder
from duckstore.exporting.manifest import MANIFEST, Manifest, parse
from duckstore.schema import RELATIONS

__all__ = ["Source", "find_source", "is_export"]

Files = Mapping[str, Sequence[str]]
"""For each relation the paths of its files."""
_WILD = re.compile(r"[*?\[]")


def is_export(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to files of an export."""
    text = os.path.expanduser(os.fspath(path))
    if os.path.isdir(text):
        return os.path.isfile(os.path.join(text, MANIFEST)) or bool(_lying_in(Path(text)))
    return not os.path.exists(text) and bool(_WILD.search(text))


class Source:
    """The files of one export, as they are at each moment."""

    def __init__(self, folder: Folder | None, name: str, pattern: str | None) -> None:
        self.name = name
        """What was asked for, with the full path."""
        self._folder = folder
        self._pattern = pattern

    @contextmanager
    def held(self) -> Iterator[tuple[object, Callable[[], Files]]]:
        """The files of one state, which stay where they are meanwhile.

        Yields:
            What tells the state from the next one, and a function that finds its files.

        Raises:
            StorePathError: There are none.
        """
        if self._folder is None:
            yield None, self._lying
            return
        folder = self._folder
        try:
            with folder.reading() as (state, file):
                page = folder.root / MANIFEST
                yield (
                    state,
                    lambda: self._named(parse(file.read().decode("utf-8", "replace"), str(page))),
                )
        except FileNotFoundError:
            raise errors.StorePathError(
                f"{folder.root} has no {MANIFEST} any more: export to it again"
            ) from None

    def _named(self, manifest: Manifest) -> Files:
        """The files that a manifest names, under the names that stay."""
        assert self._folder is not None  # noqa: S101
        root, found = self._folder.root, {}
        for relation, files in manifest.relations.items():
            wanted = [
                file
                for file in files
                if self._pattern is None
                or file.part < 0
                or _fits(str(root / file.path), self._pattern)
            ]
            paths = [
                str(link if (link := root / file.link).exists() else root / file.path)
                for file in wanted
            ]
            found[relation] = paths
        if self._pattern is not None and not any(
            file.part >= 0 and _fits(str(root / file.path), self._pattern)
            for files in manifest.relations.values()
            for file in files
        ):
            raise errors.StorePathError(f"no file of the export fits {self._pattern}")
        return _complete(found, self.name)

    def _lying(self) -> Files:
        """The files that lie there."""
        if self._pattern is None:
            return _complete(_lying_in(Path(self.name)), self.name)
        found = defaultdict(list)
        for path in sorted(glob.glob(self._pattern, recursive=True)):
            relation = _relation_of(Path(path))
            if relation is not None:
                found[relation].append(path)
        return _complete(found, self.name)


def find_source(path: str | os.PathLike[str]) -> Source:
    """The export that a folder is, or that has files that fit a pattern.

    Raises:
        StorePathError: There is none.
        ArgumentError: The pattern fits files of several exports.
    """
    text = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if os.path.isdir(text):
        if os.path.isfile(os.path.join(text, MANIFEST)):
            return Source(Folder(Path(text)), text, None)
        return Source(None, text, None)
    if not _WILD.search(text):
        raise errors.StorePathError(
            f"there is no folder {text}: name one that export_parquet has written"
        )
    homes = sorted({home for found in glob.glob(text, recursive=True) if (home := _home(found))})
    if len(homes) > 1:
        raise errors.ArgumentError(
            f"{text} fits files of several exports, {homes[0]} and {homes[1]}, whose ids mean "
            "different things: import them into one store, or ask them one by one"
        )
    if homes and os.path.isdir(os.path.join(homes[0])) and fnmatchcase(homes[0], text):
        return Source(Folder(Path(homes[0])), text, None)
    return Source(Folder(Path(homes[0])) if homes else None, text, text)


def _home(path: str) -> str | None:
    """The folder with a manifest that a path is, or lies in."""
    for folder in (Path(path), *Path(path).parents):
        if (folder / MANIFEST).is_file():
            return str(folder)
    return None


def _fits(path: str, pattern: str) -> bool:
    """Whether a path fits a pattern as a shell has it, in which ** stands for any folders."""
    parts, wanted = path.split(os.sep), pattern.split(os.sep)

    def fits(at: int, to: int) -> bool:
        if to == len(wanted):
            return at == len(parts)
        if wanted[to] == "**":
            return any(fits(n, to + 1) for n in range(at, len(parts) + 1))
        return at < len(parts) and fnmatchcase(parts[at], wanted[to]) and fits(at + 1, to + 1)

    return fits(0, 0)


def _relation_of(path: Path) -> str | None:
    """The relation that a Parquet file belongs to, by its name or that of a folder above it."""
    if path.suffix != ".parquet" or PRIVATE in path.parts:
        return None
    if path.stem in RELATIONS:
        return path.stem
    return next((p.name for p in path.parents if p.name in RELATIONS), None)


def _lying_in(root: Path) -> dict[str, list[str]]:
    """The Parquet files in a folder without a manifest, by relation."""
    found: dict[str, list[str]] = {}
    for relation in RELATIONS:
        flat = root / f"{relation}.parquet"
        paths = [flat] if flat.is_file() else sorted((root / relation).rglob("*.parquet"))
        if paths:
            found[relation] = [str(path) for path in paths]
    return found


def _complete(found: Mapping[str, Sequence[str]], name: str) -> Files:
    """What was found, if every relation is there."""
    for relation in RELATIONS:
        if not found.get(relation):
            raise errors.StorePathError(
                f"{name} has no files of the relation {relation}: name a folder that "
                "export_parquet has written"
            )
    return found
