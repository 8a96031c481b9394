"""Branches: opened, gone back to and read, in sessions short and long and with few and many.

Each case is measured at every size beside `AdvancedSQLiteSession`, and once more with duckstore's
largest and smallest size in turns: the cost of a branch must not depend on what it is a branch of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from tests.benchmarks.alternation import Action, Prepare, alternate
from tests.benchmarks.bulk import fill_advanced, fill_duckstore
from tests.benchmarks.conversations import Add, Fork, Item, Step, conversation, items
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import (
    ADVANCED,
    DUCKSTORE,
    FEWEST,
    AdvancedContender,
    Contender,
    DuckstoreContender,
)

__all__ = ["OWN", "fill_branches", "measure_branches"]

MAIN = "main"
ASIDE, LAST, HALF = "aside", "last", "half"
"""The branches that are there: one with items of its own, and one of each length."""
READ = 20
OWN = 4
"""Items that a branch has for itself."""
SHARED = 100
"""Items of the session with many branches, of which each shares some."""
ADVANCED_MOST = 1_000
"""Branches up to which `AdvancedSQLiteSession` is used. To open one it looks at every row of the
session, and each has a copy of the rows before it: the first thousand take it ten seconds, ten
thousand would take a quarter of an hour."""
STRIDE = 7919
"""From one that is read to the next: no store may have it easier with those that it made first."""
SHARE = 6
"""A case has a sixth of the time that it has elsewhere: there are many."""


@dataclass(slots=True)
class _Place:
    """A session of one store, which is on its first branch between two operations."""

    contender: Contender
    session: Any
    base: list[Item]
    """What its first branch holds."""
    branch_count: int = 0
    """How many others have a name by number."""
    openings: list[int] = field(init=False)
    """Where the turns of the first branch begin."""
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.openings = _openings(self.base)

    @property
    def last_turn(self) -> int:
        return len(self.openings)

    @property
    def middle_turn(self) -> int:
        return len(self.openings) // 2 + 1

    def fresh(self) -> str:
        """A name that no branch had."""
        return f"branch-{next(self._numbers)}"

    async def back(self) -> None:
        """Go back to the first branch."""
        await self.session.switch_to_branch(MAIN)

    async def check(self, wanted: list[Item], **asked: Any) -> None:
        """Raise where what is read is wrong: its times would mean nothing."""
        if await self.session.get_items(**asked) != wanted:
            raise RuntimeError(f"{self.contender.name} does not return the items of {asked}")


def _openings(base: list[Item]) -> list[int]:
    return [place for place, item in enumerate(base) if item.get("role") == "user"]


Stores = Mapping[str, _Place]
Prepared = Callable[[_Place], Prepare]


async def measure_branches(folder: Path, scale: Scale) -> list[Row]:
    """Open, switch and read by the length of the session, and read by the number of branches."""
    folder.mkdir(parents=True, exist_ok=True)
    return await _measure_long(folder, scale) + await _measure_many(folder, scale)


async def _measure_long(folder: Path, scale: Scale) -> list[Row]:
    rows: list[Row] = []
    places = {size: await _long(folder, size) for size in scale.branch_items}
    for case, prepare, has_both in (
        # Read first: the branches that `AdvancedSQLiteSession` opens later would slow it down.
        (f"read {READ} of another branch", _reading, True),
        ("switch back from before the last turn", partial(_returning, LAST), True),
        ("switch back from the middle", partial(_returning, HALF), True),
        ("open before the last turn", _opening, True),
        ("open in the middle", _opening_in_the_middle, False),
        ("edit the last turn", _editing, False),
    ):
        rows += await _measure(case, "items", places, prepare, scale, has_both=has_both)
    _close(places)
    return rows


async def _measure_many(folder: Path, scale: Scale) -> list[Row]:
    rows: list[Row] = []
    places = {number: await _many(folder, number) for number in scale.branch_counts}
    for case, prepare, has_both in (
        (f"read {READ} of one", partial(_reading_one, READ), True),
        ("read one whole", partial(_reading_one, None), True),
        (f"read {READ} of one, cold", _reading_cold, False),
    ):
        rows += await _measure(case, "branches", places, prepare, scale, has_both=has_both)
    _close(places)
    return rows


async def _measure(
    case: str,
    what: str,
    places: Mapping[int, Stores],
    prepare: Prepared,
    scale: Scale,
    *,
    has_both: bool,
) -> list[Row]:
    """Time a case at each size, of both stores in turns, and of duckstore all sizes in turns."""
    seconds = scale.seconds / SHARE
    own = await alternate(
        scale.rounds,
        seconds,
        {str(size): prepare(stores[DUCKSTORE]) for size, stores in places.items()},
    )
    rows = []
    for size, stores in places.items():
        if has_both and len(stores) > 1:
            prepares = {name: prepare(place) for name, place in stores.items()}
            samples = await alternate(scale.rounds, seconds, prepares)
        else:
            samples = {DUCKSTORE: own[str(size)]}
        rows.append(Row("branches", f"{case}, {size:,} {what}", samples))
    least, most = min(places), max(places)
    samples = {DUCKSTORE: own[str(most)], FEWEST: own[str(least)]}
    return [*rows, Row("branches", f"{case}, {most:,} {what} beside {least:,}", samples)]


def _close(places: Mapping[int, Stores]) -> None:
    for stores in places.values():
        for place in stores.values():
            place.contender.release(place.session)
            place.contender.close()


# By the length of the session ------------------------------------------------------------------


async def _long(folder: Path, size: int) -> Stores:
    """A file of each kind with one session, whose branches are checked."""
    base = items(size, size)
    paths = folder / f"store-{size}.duckdb", folder / f"advanced-{size}.sqlite"
    batches = conversation(size, size, with_edits=False)
    fill_duckstore(paths[0], (("long", batch) for batch in batches), 1)
    # It looks at all that is there for each batch, and comes to the same rows with one.
    fill_advanced(paths[1], [("long", Add(base))], 1)
    places = {
        contender.name: _Place(contender, contender.session("0-long"), base)
        for contender in (DuckstoreContender(paths[0]), AdvancedContender(paths[1]))
    }
    for place in places.values():
        await place.contender.warm_up([place.session.session_id])
        await _open_all(place)
    return places


async def _open_all(place: _Place) -> None:
    """Open the branches that are read and gone to, and one in each way that is measured later."""
    session, last, middle = place.session, place.last_turn, place.middle_turn
    before_last, before_middle = (place.base[: place.openings[n - 1]] for n in (last, middle))
    await place.check(place.base)
    await session.create_branch_from_turn(last, ASIDE)
    await place.check(before_last)
    await session.add_items(items(OWN, OWN))
    await place.back()
    await place.check(place.base)
    await place.check((before_last + items(OWN, OWN))[-READ:], limit=READ, branch_id=ASIDE)
    for name, turn, wanted in ((LAST, last, before_last), (HALF, middle, before_middle)):
        await session.create_branch_from_turn(turn, name)
        await place.check(wanted)
        await place.back()
        await place.check(place.base)
    if place.contender.name == DUCKSTORE:
        await session.branch(place.fresh(), at=middle)
        await place.check(before_middle)
        await place.back()
        await (await _editing(place)(0))()
        await place.check([*before_last, place.base[place.openings[-1]] | {"content": _TEXT}])
        await place.back()
        await place.check(place.base)


_TEXT = "the same in other words"


def _reading(place: _Place) -> Prepare:
    """Read the end of a branch that has some items of its own, while another is the current one."""

    async def prepare(number: int) -> Action:
        if number < 0:
            await place.back()
        return lambda: place.session.get_items(limit=READ, branch_id=ASIDE)

    return prepare


def _returning(name: str, place: _Place) -> Prepare:
    """Go from a branch to the one that it was opened on."""

    async def prepare(number: int) -> Action:
        await place.session.switch_to_branch(name)
        return place.back

    return prepare


def _opening(place: _Place) -> Prepare:
    """Open a branch before the last turn, and go back."""

    async def prepare(number: int) -> Action:
        await place.back()
        return partial(place.session.create_branch_from_turn, place.last_turn, place.fresh())

    return prepare


def _opening_in_the_middle(place: _Place) -> Prepare:
    """Open a branch before the turn in the middle, and go back."""

    async def prepare(number: int) -> Action:
        await place.back()
        return partial(place.session.branch, place.fresh(), at=place.middle_turn)

    return prepare


def _editing(place: _Place) -> Prepare:
    """Say the last turn's message in other words.

    The edited path takes over the name of the branch. So it is done on one more that ends where
    the first does, and the first stays what it is.
    """

    async def prepare(number: int) -> Action:
        await place.back()
        await place.session.branch(place.fresh())
        return partial(place.session.edit, place.last_turn, _TEXT)

    return prepare


# By the number of branches ---------------------------------------------------------------------


async def _many(folder: Path, number: int) -> Stores:
    """A file of each kind with one session that has many branches, some of which are checked."""
    base = items(SHARED, SHARED)
    path = folder / f"store-many-{number}.duckdb"
    fill_branches(path, "many", SHARED, number)
    store = DuckstoreContender(path)
    places = {DUCKSTORE: _Place(store, store.session("0-many"), base, number)}
    if number <= ADVANCED_MOST:
        advanced = AdvancedContender(folder / f"advanced-many-{number}.sqlite")
        places[ADVANCED] = _Place(advanced, advanced.session("many"), base, number)
        await _open_many(places[ADVANCED])
    for place in places.values():
        await place.contender.warm_up([place.session.session_id])
        await place.back()
        await place.check(base)
        for index in {0, number // 2, number - 1}:
            wanted = base[: _position(place.openings, index)] + _own(index)
            await place.check(wanted, branch_id=_name(index))
            await place.check(wanted[-READ:], limit=READ, branch_id=_name(index))
    return places


def fill_branches(path: Path, session_id: str, shared: int, number: int) -> None:
    """Write a session into a closed store, with branches that begin before one turn or another."""
    openings = _openings(items(shared, shared))
    steps: list[Step] = conversation(shared, shared, with_edits=False)
    for index in range(number):
        steps.append(Fork(_name(index), _position(openings, index)))
        steps += conversation(index, OWN, with_edits=False)
    fill_duckstore(path, ((session_id, step) for step in steps), 1)


async def _open_many(place: _Place) -> None:
    """The same session by the store's own means."""
    await place.session.add_items(place.base)
    for index in range(place.branch_count):
        turn = place.openings.index(_position(place.openings, index)) + 1
        await place.session.create_branch_from_turn(turn, _name(index))
        await place.session.add_items(_own(index))
        await place.back()


def _name(index: int) -> str:
    return f"one-{index}"


def _position(openings: list[int], index: int) -> int:
    """After how many items a branch begins: before each turn in turn, but for the first."""
    return openings[1 + index % (len(openings) - 1)]


def _own(index: int) -> list[Item]:
    """What was said on a branch."""
    return items(index, OWN)


def _reading_one(limit: int | None, place: _Place) -> Prepare:
    """Read one of the branches, each time another, while the first is the current one."""

    async def prepare(number: int) -> Action:
        name = _name(number * STRIDE % place.branch_count)
        return lambda: place.session.get_items(limit=limit, branch_id=name)

    return prepare


def _reading_cold(place: _Place) -> Prepare:
    """The same when nothing of the session is in the process's memory."""
    warm = _reading_one(READ, place)

    async def prepare(number: int) -> Action:
        place.contender.forget(place.session.session_id)
        return await warm(number)

    return prepare
