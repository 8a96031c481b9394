"""Going on with a store whose journal was damaged: what can be recovered of it, and no more."""

from __future__ import annotations

import os
from dataclasses import dataclass

from duckstore import errors
from duckstore.journal import journal_path
from duckstore.ownership import Ownership
from duckstore.recovery import salvage

__all__ = ["Recovery", "recover_store"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done for a damaged store."""

    journal_copy: str | None
    """Where the damaged journal was copied to; None where it was not damaged."""
    record_count: int
    """How many of its records could be kept."""


def recover_store(path: str | os.PathLike[str]) -> Recovery:
    """Cut a damaged journal before the damage, after copying it. Available as `duckstore.recover`.

    The store can then be opened, and has everything that was acknowledged before what the damaged
    record held. Does nothing to a journal that is sound.

    Args:
        path: The store, which no process may have open.

    Raises:
        StorePathError: There is no store there.
        StoreLockedError: A process has it open.
    """
    name = os.path.realpath(os.path.expanduser(os.fspath(path)))
    if not os.path.exists(name):
        raise errors.StorePathError(f"there is no store at {name}: correct the path")
    ownership = Ownership.take(name)
    if ownership is None:
        raise errors.StoreLockedError(f"{name} is open in another process: close it there first")
    try:
        done = salvage(journal_path(name))
    finally:
        ownership.release()
    return Recovery(*done) if done is not None else Recovery(None, 0)
