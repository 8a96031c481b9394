"""Which process owns a store: the one that holds the lock of the small file beside it.

The lock is the election: the system gives it to one process and takes it back when that process
ends, however it ends. What the file says is for the other processes of the same user: where the
owner listens and the key to speak with it, so only they may read it. Readers without an owner hold
the lock together, and briefly.

DuckDB's own lock on the database stays what keeps other programs out. It could not serve for the
election: it is lost when anything in the process opens and closes the file.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from duckstore import errors

__all__ = ["Ownership", "Post", "file_inode", "find_post"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system takes."""


@dataclass(frozen=True, slots=True)
class Post:
    """Where an owner can be spoken to."""

    process_id: int
    address: str | None
    """The socket, or None where the owner serves nobody."""
    key: bytes


def owner_path(path: str) -> str:
    """The file that tells of a store's owner."""
    return path + ".owner"


def file_inode(path: str) -> int:
    """Tells a file from another one that was put in its place; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def find_post(path: str) -> Post | None:
    """What the owner of the store at `path` has published; None where that is nothing yet."""
    try:
        told = json.loads(Path(owner_path(path)).read_text("ascii"))
        return Post(told["process_id"], told["address"], bytes.fromhex(told["key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Ownership:
    """The lock of a store, once it is held."""

    def __init__(self, path: str, file: int) -> None:
        self.path = path
        self._file = file
        self.key = secrets.token_bytes(32)

    @classmethod
    def take(cls, path: str, *, shared: bool = False) -> Ownership | None:
        """Take the lock if it is free. None where another process has it.

        Args:
            path: The store.
            shared: For a reader beside other readers.

        Raises:
            StorePathError: The file of the lock cannot be made.
        """
        name = owner_path(path)
        while True:
            file = _open(path, name)
            if not _lock(file, shared):
                os.close(file)
                return None
            # The one who had it may have removed the file between our two steps.
            if _is_same(file, name):
                if not shared:
                    os.ftruncate(file, 0)  # what a killed owner had published is true no more
                return cls(path, file)
            os.close(file)

    def publish(self, address: str | None) -> None:
        """Tell other processes where they find the owner."""
        told = {"process_id": os.getpid(), "address": address, "key": self.key.hex()}
        text = json.dumps(told).encode("ascii")
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, text)

    def address(self) -> str:
        """Where the owner listens: beside the store, or elsewhere if that path is too long."""
        name = self.path + ".socket"
        if sys.platform == "win32":
            return rf"\\.\pipe\duckstore-{secrets.token_hex(16)}"
        if len(os.fsencode(name)) <= LONGEST_SOCKET:
            return name
        folder = Path(tempfile.gettempdir()) / f"duckstore-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
            folder = Path(tempfile.mkdtemp(prefix="duckstore-"))
        # The name is that of the lock's file: the next owner finds it, and removes what is stale.
        lock = os.fstat(self._file)
        return str(folder / f"{lock.st_dev:x}-{lock.st_ino:x}.socket")

    def release(self) -> None:
        """Give the lock back, and remove the file."""
        file, self._file = self._file, -1
        if file < 0:
            return
        if sys.platform != "win32" and _lock(file, shared=False):  # no other reader has it
            with suppress(FileNotFoundError):  # its folder may be gone
                os.unlink(owner_path(self.path))
        os.close(file)

    def abandon(self) -> None:
        """Let go of the file in a forked child: the lock stays with the parent."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _open(path: str, name: str) -> int:
    """Open or make the file of a lock, which only its user may read."""
    try:
        file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        folder = Path(path).parent
        if not folder.is_dir():
            text = f"the folder {folder} does not exist: make it first, or correct the path {path}"
        elif isinstance(error, PermissionError) and os.path.exists(name):
            text = (
                f"{name} cannot be opened: {error.strerror}. The store belongs to another user: "
                "only processes of one user can share it"
            )
        else:
            text = (
                f"{name} cannot be written: {error.strerror}. A store needs a folder that can be "
                "written; open it with read_only=True where it is only read"
            )
        raise errors.StorePathError(text) from error
    if sys.platform != "win32" and os.fstat(file).st_mode & 0o077:
        try:
            os.fchmod(file, 0o600)  # the key will stand in it
        except OSError as error:
            os.close(file)
            raise errors.StorePathError(
                f"{name} can be read by others and belongs to another user: remove it"
            ) from error
    return file


def _lock(file: int, shared: bool) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(file, 1 << 30, os.SEEK_SET)  # what is locked there cannot be read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_same(file: int, name: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(name))
    except OSError:
        return False
