"""The folder of an export: how a new state takes the place of the old one, all at once.

Every file has two names. Under the first, which is made of its checksum, it is written once and
never again: the manifest leads to those, and whoever follows it sees one state, old or new. The
second is for tools that look for files themselves; they are put in their places one after the
other, each whole, right after the manifest.

Who reads holds a lock on the manifest that they read, and a file of it goes when nobody reads it
any more. A lock ends with its process; nobody is waited for longer than half a minute.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from duckstore import errors, faults
from duckstore.exporting.manifest import MANIFEST, Manifest, PartFile, parse
from duckstore.journal import sync_folder

__all__ = ["PRIVATE", "Folder", "checksum", "sessions_link"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PRIVATE = "_duckstore"
"""Where duckstore has its own; readers of Parquet pass over names that begin like this."""
WAIT_SECONDS = 30.0
"""How long those who read the old state are waited for before its files go."""
TRY_SECONDS = 0.02
_OURS = re.compile(r"part-\d{5,}\.parquet")


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Folder:
    """A folder that holds an export, or will."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.private = root / PRIVATE
        self.files = self.private / "files"

    # Reading ---------------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """The manifest as it is now; None where there is none.

        Raises:
            DamagedStoreError, NewerSchemaError: It cannot be read.
            StorePathError: Its file cannot be.
        """
        with suppress(FileNotFoundError), self._open_manifest() as file:
            return parse(_text(file, self.root / MANIFEST), str(self.root / MANIFEST))
        return None

    @contextmanager
    def reading(self) -> Iterator[tuple[tuple[int, int], IO[bytes]]]:
        """The manifest of one state, whose files stay where they are meanwhile.

        Yields:
            What tells it from the next one, and the open file.

        Raises:
            FileNotFoundError: There is none.
            StorePathError: It cannot be opened.
        """
        while True:
            with self._open_manifest() as file:
                is_held = _lock(file, is_shared=True, seconds=0)
                status = os.fstat(file.fileno())
                with suppress(FileNotFoundError):
                    if is_held and os.stat(self.root / MANIFEST).st_ino == status.st_ino:
                        yield (status.st_ino, status.st_mtime_ns), file
                        return
            time.sleep(TRY_SECONDS)

    def _open_manifest(self) -> IO[bytes]:
        try:
            return (self.root / MANIFEST).open("rb")
        except FileNotFoundError:
            raise
        except NotADirectoryError as error:
            raise FileNotFoundError(f"{self.root} is no folder") from error
        except OSError as error:
            raise errors.StorePathError(
                f"{self.root / MANIFEST} cannot be read: {error.strerror}. Name a folder that "
                "duckstore has exported to, and that you may read"
            ) from error

    def has(self, file: PartFile) -> bool:
        """Whether a file is there, of the size that it was written with."""
        try:
            return (self.root / file.link).stat().st_size == file.byte_count
        except OSError:
            return False

    # Writing ---------------------------------------------------------------------------------

    @contextmanager
    def taken(self) -> Iterator[Path]:
        """Keep other exports out. Yields an empty folder for files that are not complete yet.

        Raises:
            OSError: The folder cannot be made or written.
        """
        self.files.mkdir(parents=True, exist_ok=True)
        with (self.private / "lock").open("ab") as file:
            while not _lock(file, is_shared=False, seconds=0.5):
                continue
            staging = self.private / "staging" / uuid.uuid4().hex[:8]
            shutil.rmtree(staging.parent, ignore_errors=True)
            staging.mkdir(parents=True)
            try:
                yield staging
            finally:
                shutil.rmtree(staging.parent, ignore_errors=True)

    def adopt(self, staged: Path, name: str) -> None:
        """Give a complete file its name among the files that are never changed."""
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        target = self.root / name
        if target.exists() and checksum(target)[:32] == target.name[:32]:  # another part's
            staged.unlink()
        else:
            staged.replace(target)
        faults.at("export.adopted")

    def publish(self, manifest: Manifest, before: Manifest | None, staging: Path) -> None:
        """Make a manifest the one that counts, and put its files where others look for them.

        Args:
            manifest: The manifest.
            before: The one that it takes the place of.
            staging: Where it is written aside.
        """
        page = staging / MANIFEST
        with page.open("w", encoding="utf-8") as file:
            file.write(manifest.text())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(str(self.files / "x"))
        old = None
        with suppress(FileNotFoundError):
            old = (self.root / MANIFEST).open("rb")
        faults.at("export.complete")
        page.replace(self.root / MANIFEST)
        sync_folder(str(self.root / MANIFEST))
        faults.at("export.published")
        self.place(manifest)
        with old if old is not None else nullcontext():
            if old is not None:
                _lock(old, is_shared=False, seconds=WAIT_SECONDS)
            self.sweep(manifest, before)

    def place(self, manifest: Manifest) -> None:
        """Put every file where other tools look for it, if it is not there."""
        for _, file in manifest.files():
            if not file.path:
                continue
            source, target = self.root / file.link, self.root / file.path
            if _is_same(source, target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = self.private / "staging" / f"{uuid.uuid4().hex[:8]}.link"
            aside.parent.mkdir(exist_ok=True)
            try:
                os.link(source, aside)
            except OSError:  # a file system without second names
                shutil.copy2(source, aside)
            aside.replace(target)
            faults.at("export.placed")

    def sweep(self, manifest: Manifest, before: Manifest | None) -> None:
        """Remove what is ours and not in the manifest.

        A file that others see is ours where the manifest before this one names it, or where it has
        a first name as well: those go last, so that it is told after a kill too.
        """
        named = {file.path for _, file in before.files()} if before is not None else set()
        wanted = {file.path for _, file in manifest.files()}
        ours = {_identity(path) for path in self.files.iterdir()}
        for path in list(self._found(manifest)):  # before their folders go
            name = path.relative_to(self.root).as_posix()
            if name in wanted or not _OURS.fullmatch(path.name):
                continue
            if name in named or _identity(path) in ours:
                path.unlink(missing_ok=True)
                with suppress(OSError):  # other files may be in it
                    path.parent.rmdir()
        faults.at("export.swept")
        kept = {Path(file.link).name for _, file in manifest.files()}
        kept.add(Path(sessions_link(manifest.sessions_file)).name)
        for path in self.files.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def foreign(self, manifest: Manifest) -> list[str]:
        """Files among those of the relations that are not ours: other tools would read them too."""
        wanted = {file.path for _, file in manifest.files()}
        found = (path.relative_to(self.root).as_posix() for path in self._found(manifest))
        return sorted(path for path in found if path not in wanted)

    def _found(self, manifest: Manifest) -> Iterator[Path]:
        """Everything in the relations' folders, but for folders."""
        for relation in manifest.relations:
            for path in (self.root / relation).rglob("*"):
                if not path.is_dir():
                    yield path


def sessions_link(sha256: str) -> str:
    """Where the list of an export's sessions lies."""
    return f"{PRIVATE}/files/{sha256[:32]}.json.gz"


def _identity(path: Path) -> tuple[int, int]:
    """Tells a file under whichever of its names; a copy, where there are no second names."""
    status = path.stat()
    return (
        (status.st_dev, status.st_ino)
        if status.st_nlink > 1
        else (
            status.st_size,
            status.st_mtime_ns,
        )
    )


def _is_same(source: Path, target: Path) -> bool:
    """Whether both names lead to the same bytes, told without reading them."""
    try:
        one, other = source.stat(), target.stat()
    except FileNotFoundError:
        return False
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return True
    is_single = one.st_nlink == 1  # a copy, where there are no second names
    return is_single and (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _text(file: IO[bytes], path: Path) -> str:
    try:
        return file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.DamagedStoreError(
            f"{path} cannot be read: {error}. Export anew into another folder"
        ) from error


def _lock(file: IO[bytes], *, is_shared: bool, seconds: float) -> bool:
    """Lock an open file, or say that others have it still. Where there are no locks, it has it."""
    end = time.monotonic() + seconds
    while True:
        try:
            if sys.platform == "win32":
                if not is_shared and file.writable():
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
                fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= end:
                return False
        except OSError:
            return True
        time.sleep(TRY_SECONDS)
