"""What is done to get each kind of operation ready, which is not timed."""

from __future__ import annotations

import json

from tests.benchmarks.alternation import WARM_UP, Action, Prepare, Renewed
from tests.benchmarks.bulk import duckstore_rows
from tests.benchmarks.conversations import Item, items
from tests.benchmarks.stores import Contender, RawAppender, RawFile, Session

__all__ = ["adding", "appending", "cold", "correcting", "popping", "turning", "warm", "writing"]


def adding(sessions: Renewed, batches: list[list[Item]]) -> Prepare:
    """Add a batch to a session."""

    async def prepare(number: int) -> Action:
        session, batch = await sessions.session(), batches[number]
        return lambda: session.add_items(batch)

    return prepare


def appending(appender: RawAppender, batches: list[list[Item]]) -> Prepare:
    """Append the rows of a batch with DuckDB alone."""

    async def prepare(number: int) -> Action:
        rows = duckstore_rows(batches[number])

        async def act() -> None:
            appender.write(rows)

        return act

    return prepare


def writing(file: RawFile, batches: list[list[Item]]) -> Prepare:
    """Write the bytes of a batch at the end of a file."""

    async def prepare(number: int) -> Action:
        text = file_text(batches[number])

        async def act() -> None:
            file.write(text)

        return act

    return prepare


def file_text(batch: list[Item]) -> bytes:
    """A batch as lines of JSON."""
    return b"".join(json.dumps(item).encode() + b"\n" for item in batch)


def warm(contender: Contender, session_id: str) -> Prepare:
    """Read a conversation that was read just before."""
    session = contender.session(session_id)

    async def prepare(number: int) -> Action:
        if number < 0:
            await session.get_items()
        return session.get_items

    return prepare


def cold(contender: Contender, session_id: str) -> Prepare:
    """Read a conversation of which nothing is in the process's memory, by a new object."""
    used: list[Session] = []

    async def prepare(number: int) -> Action:
        while used:
            contender.release(used.pop())
        contender.forget(session_id)

        async def act() -> None:
            session = contender.session(session_id)
            used.append(session)
            await session.get_items()

        return act

    return prepare


def popping(sessions: Renewed) -> Prepare:
    """Pop an item."""

    async def prepare(number: int) -> Action:
        return (await sessions.session()).pop_item

    return prepare


def correcting(sessions: Renewed) -> Prepare:
    """Pop an item and add another, by which the SDK's documentation corrects a message."""

    async def prepare(number: int) -> Action:
        session = await sessions.session()

        async def act() -> None:
            await session.pop_item()
            await session.add_items([{"role": "user", "content": f"correction {number}"}])

        return act

    return prepare


def turning(sessions: Renewed) -> Prepare:
    """What the Runner does in one turn: read the history, add the input, add the response."""

    async def prepare(number: int) -> Action:
        session = await sessions.session()
        user, *response = items(number + WARM_UP, 4)

        async def act() -> None:
            await session.get_items()
            await session.add_items([user])
            await session.add_items(response)

        return act

    return prepare
