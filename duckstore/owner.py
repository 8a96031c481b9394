"""What the process that has a store open holds: the lock, the engine, and the server for others."""

from __future__ import annotations

from duckstore.engine import Engine
from duckstore.ownership import Ownership
from duckstore.server import Server
from duckstore.settings import Settings

__all__ = ["Owner", "make_engine"]


def make_engine(path: str, settings: Settings) -> Engine:
    """Open the file at `path`. Raises StoreError where it cannot be."""
    return Engine(
        path,
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        cache_bytes=settings.cache_bytes,
        read_only=settings.read_only,
    )


class Owner:
    """This process as the owner of a store."""

    def __init__(self, engine: Engine, ownership: Ownership, server: Server | None) -> None:
        self.engine = engine
        self._ownership = ownership
        self._server = server

    @classmethod
    def take(cls, path: str, settings: Settings) -> Owner | None:
        """Take the store and serve it. None where another process has it.

        Raises:
            StoreError: The file cannot be opened.
        """
        ownership = Ownership.take(path)
        if ownership is None:
            return None
        engine = server = None
        try:
            if settings.exclusive:
                ownership.publish(None)
            engine = make_engine(path, settings)
            if not settings.exclusive:
                server = Server(engine, ownership)
        except BaseException:
            if engine is not None:
                engine.close()
            ownership.release()
            raise
        return cls(engine, ownership, server)

    def close(self) -> None:
        """Finish what is being done for others, close the file, and let the next one have it."""
        if self._server is not None:
            self._server.stop()
        self.engine.close()
        self._ownership.release()

    def abandon(self) -> None:
        """Let go in a forked child of what is the parent's."""
        if self._server is not None:
            self._server.abandon()
        self.engine.abandon()
        self._ownership.abandon()
