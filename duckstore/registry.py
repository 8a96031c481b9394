"""Which files this process has open: one engine per file, shared by all who open it.

DuckDB lets a process open a file once, and a session's state in memory must exist once. Paths that
lead to the same file share an engine; each `:memory:` store has its own. An engine is closed when
the last holder lets go of it, and at the end of the process.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass

from duckstore import errors
from duckstore.database import MEMORY
from duckstore.engine import Engine

__all__ = ["Settings", "acquire", "release"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a store is opened. The first who opens a file decides for all in the process."""

    memory_limit: str = "1GB"
    threads: int = 2
    cache_bytes: int = 64 * 1024 * 1024
    keep_popped: bool = True


@dataclass(slots=True)
class _Holding:
    engine: Engine
    settings: Settings
    holders: int
    inode: int


_open: dict[str, _Holding] = {}
_lock = threading.Lock()


def acquire(path: str | os.PathLike[str], settings: Settings) -> Engine:
    """The engine of the file at `path`, opened if it is not open yet.

    Raises:
        ArgumentError: It is open in this process with other settings.
        StoreError: The file cannot be opened; see `duckstore.errors`.
    """
    name = os.fspath(path)
    if name == MEMORY:
        return _start(MEMORY, settings)
    if not isinstance(name, str) or not name or "\0" in name:
        raise errors.ArgumentError(f"path is {path!r}: name a file, or ':memory:'")
    name = os.path.realpath(os.path.expanduser(name))
    with _lock:
        holding = _open.get(name)
        if holding is not None and holding.engine.is_usable and holding.inode == _inode(name):
            if holding.settings != settings:
                raise errors.ArgumentError(
                    f"{name} is open in this process with {holding.settings}, and cannot be opened "
                    f"with {settings} beside it: use the same, or close it first"
                )
            holding.holders += 1
            return holding.engine
        engine = _start(name, settings)
        _open[name] = _Holding(engine, settings, 1, _inode(name))
        return engine


def release(engine: Engine) -> None:
    """Let go of an engine; the last holder closes it."""
    with _lock:
        holding = _open.get(engine.path)
        if holding is None or holding.engine is not engine:
            engine.close()
            return
        holding.holders -= 1
        if holding.holders > 0:
            return
        del _open[engine.path]
    engine.close()


def _start(path: str, settings: Settings) -> Engine:
    return Engine(
        path,
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        cache_bytes=settings.cache_bytes,
        keep_popped=settings.keep_popped,
    )


def _inode(path: str) -> int:
    """Tells a file from another one that was put in its place; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


@atexit.register
def _close_all() -> None:
    for holding in list(_open.values()):
        holding.engine.close()
    _open.clear()
