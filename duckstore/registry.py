"""Which stores this process has open: one access per file, shared by all who open it.

A process is the owner of a file or a client of its owner, once. Paths that lead to the same file
share an access; each `:memory:` store has its own. It is closed when the last holder lets go of it,
and at the end of the process.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass

from duckstore import errors
from duckstore.access import Access
from duckstore.database import MEMORY
from duckstore.settings import Settings

__all__ = ["acquire", "release"]


@dataclass(slots=True)
class _Holding:
    access: Access
    holders: int


_open: dict[str, _Holding] = {}
_lock = threading.Lock()


def acquire(
    path: str | os.PathLike[str], settings: Settings, *, is_reading: bool = False
) -> Access:
    """The access to the file at `path`, opened if it is not open yet.

    Args:
        path: The file.
        settings: How it is to be opened.
        is_reading: Whether it is only to be read, so that one that is open with other settings
            will do.

    Raises:
        ArgumentError: A setting makes no sense, or it is open in this process with other ones.
        StoreError: The file cannot be opened; see `duckstore.errors`.
    """
    settings.check()
    name = os.fspath(path)
    if name == MEMORY:
        if settings.read_only:
            raise errors.ArgumentError("a store in memory cannot be read_only: name a file")
        return Access(MEMORY, settings)
    if not isinstance(name, str) or not name or "\0" in name:
        raise errors.ArgumentError(f"path is {path!r}: name a file, or ':memory:'")
    name = os.path.realpath(os.path.expanduser(name))
    with _lock:
        holding = _open.get(name)
        if holding is not None and holding.access.is_usable and holding.access.is_current:
            if holding.access.settings != settings and not is_reading:
                raise errors.ArgumentError(
                    f"{name} is open in this process with {holding.access.settings}, and cannot be "
                    f"opened with {settings} beside it: use the same, or close it first"
                )
            holding.holders += 1
            return holding.access
        access = Access(name, settings)
        _open[name] = _Holding(access, 1)
        return access


def release(access: Access) -> None:
    """Let go of an access; the last holder closes it."""
    with _lock:
        holding = _open.get(access.path)
        if holding is None or holding.access is not access:
            access.close()
            return
        holding.holders -= 1
        if holding.holders > 0:
            return
        del _open[access.path]
    access.close()


def _after_fork() -> None:
    """In a forked child: what was the parent's is let go of, and asked for as a client."""
    global _lock
    _lock = threading.Lock()
    for holding in _open.values():
        holding.access.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_all() -> None:
    for holding in list(_open.values()):
        holding.access.close()
    _open.clear()
