"""Waiting in an event loop for what the synchronous core does in a thread.

A change that was begun is waited for when its caller is cancelled, and only then is the
cancellation raised, as the SDK's own sessions do. asyncio is imported when something is awaited: a
program that only asks questions need not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["finish", "in_thread", "to_the_end"]

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run a read in a worker thread."""
    import asyncio

    return await asyncio.to_thread(work)


async def finish(work: Callable[[], _T]) -> _T:
    """Run a change in a worker thread to its end, and be cancelled only after it."""
    import asyncio

    return await to_the_end(asyncio.ensure_future(asyncio.to_thread(work)))


async def to_the_end(change: asyncio.Future[_T]) -> _T:
    """Wait for a change that was begun, and be cancelled only after it."""
    import asyncio

    cancelled: asyncio.CancelledError | None = None
    while not change.done():
        try:
            await asyncio.wait({change})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    if cancelled is not None:
        change.exception()  # seen here: the cancellation is what the caller gets
        raise cancelled
    return change.result()
