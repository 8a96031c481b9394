"""Operations of several stores in turns, one by one, so that the machine's noise hits all alike.

Each operation of one store is followed by the same operation of the next, in an order that
rotates from round to round. Only the operation is timed, not what prepares it, and no loop is
started: everything runs in the one loop of the benchmark.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from tests.benchmarks.conversations import items
from tests.benchmarks.stores import Contender, Session, fill

__all__ = ["WARM_UP", "Action", "Prepare", "Renewed", "alternate", "close_all"]

WARM_UP = 3
LEAST_ROUNDS = 5

Action = Callable[[], Awaitable[object]]
Prepare = Callable[[int], Awaitable[Action]]


async def alternate(
    rounds: int, seconds: float, prepares: Mapping[str, Prepare]
) -> dict[str, list[float]]:
    """Time the prepared actions one by one in turns. Returns milliseconds by store.

    Args:
        rounds: How often each is done, after some more that do not count.
        seconds: After so many it ends, once it has had a few rounds.
        prepares: By store, what makes the action of a round; rounds that do not count are negative.
    """
    samples: dict[str, list[float]] = {name: [] for name in prepares}
    names = list(prepares)
    started = perf_counter()
    for number in range(-min(WARM_UP, rounds), rounds):
        if number >= LEAST_ROUNDS and perf_counter() - started > seconds:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            action = await prepares[name](number)
            start = perf_counter()
            await action()
            elapsed = perf_counter() - start
            if number >= 0:
                samples[name].append(elapsed * 1000)
    return samples


class Renewed:
    """A session with some history, replaced by a fresh one after some uses."""

    def __init__(self, contender: Contender, label: str, length: int, uses: int) -> None:
        self._contender = contender
        self._label = label
        self._length = length
        self._uses = uses
        self._used = 0
        self._session: Session | None = None

    async def session(self) -> Session:
        """The session to use next."""
        if self._session is not None and self._used % self._uses:
            self._used += 1
            return self._session
        self.close()
        self._session = self._contender.session(f"{self._label}-{self._used // self._uses}")
        self._used += 1
        await fill(self._session, items(self._used, self._length))
        return self._session

    def close(self) -> None:
        """Close the session object."""
        if self._session is not None:
            self._contender.release(self._session)


def close_all(contenders: Mapping[str, Contender]) -> None:
    """Close the files of all stores."""
    for contender in contenders.values():
        contender.close()
