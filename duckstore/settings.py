"""How a store is opened."""

from __future__ import annotations

from dataclasses import dataclass

from duckstore import errors

__all__ = ["Settings"]

DURABILITIES = ("full", "relaxed")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a store is opened. The first who opens a file decides for all in the process."""

    memory_limit: str = "2GB"
    threads: int = 2
    cache_bytes: int = 64 * 1024 * 1024
    keep_popped: bool = True
    durability: str = "full"
    exclusive: bool = False
    read_only: bool = False
    timeout: float = 30.0

    def check(self) -> None:
        """Raise ArgumentError where a setting makes no sense by itself."""
        if self.durability not in DURABILITIES:
            raise errors.ArgumentError(
                f"durability is {self.durability!r}: choose 'full' (what is acknowledged is on "
                "disk) or 'relaxed' (it survives the end of the process, not of the machine)"
            )
        if not self.timeout > 0:
            raise errors.ArgumentError(f"timeout is {self.timeout!r}: give seconds above 0")
        if self.exclusive and self.read_only:
            raise errors.ArgumentError("exclusive and read_only do not go together: choose one")
