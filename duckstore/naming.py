"""The names of the branches that an import begins.

The branch of the path is "main" where nothing else is told, and what it stands in the place of gets
a number after its name, as after an edit. Branches that were there keep their names otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from duckstore.branch import Branch
from duckstore.planting import Planting
from duckstore.tree import NextId, SessionState

__all__ = ["named_branches"]

MAIN = "main"
_NUMBERS = re.compile(r"(~\d+)+$")


def named_branches(
    state: SessionState,
    planting: Planting,
    wanted: Mapping[str, int],
    next_id: NextId,
    now: datetime,
) -> dict[int, str]:
    """The names that branches get, by id. One that ends where another does is begun for its name.

    Args:
        state: The session.
        planting: What was added to it.
        wanted: Names with the items at which their branches end.
        next_id: Gives ids.
        now: When it is done.
    """
    is_whole = planting.start is None
    begun = list(state.branches.values()) if is_whole else planting.begun
    if not begun or (len(begun) == 1 and is_whole and not wanted):
        return {}
    others = () if is_whole else state.branches.values()
    names: dict[int, str] = {}
    own = {branch.branch_id for branch in begun}
    taken = {branch.name for branch in others if branch.branch_id not in own}
    for name, index in wanted.items():
        if name in taken or planting.is_found[index]:
            continue
        branch, position = planting.place_of(index)
        is_free = branch.branch_id in own and branch.branch_id not in names
        if not is_free or position < branch.tip:
            branch = state.add_fork(name, (branch, position), next_id, now)
        names[branch.branch_id] = name
        taken.add(name)
    heir, base = _heir(state, planting, begun, names)
    if heir is not None:
        names[heir.branch_id] = base
    if heir is not None and planting.start is not None:
        begun = [planting.start[0], *begun]
    free = _numbered(base, taken | {base})
    for branch in begun:
        if branch.branch_id not in names:
            names[branch.branch_id] = next(free)
    return names


def _heir(
    state: SessionState, planting: Planting, begun: list[Branch], names: Mapping[int, str]
) -> tuple[Branch | None, str]:
    """The branch that takes the name of the path's, if any does, and that name."""
    if planting.start is not None:
        left = planting.start[0]
        is_new = any(branch is state.current for branch in begun)
        if is_new and not planting.stays and state.current.branch_id not in names:
            return state.current, left.name
        return None, _NUMBERS.sub("", left.name) or MAIN
    if MAIN in names.values():
        return None, MAIN
    unnamed = [branch for branch in begun if branch.branch_id not in names]
    heir = next((branch for branch in unnamed if branch is state.current), None)
    return heir or next(iter(unnamed), None), MAIN


def _numbered(base: str, taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        name = f"{base}~{number}"
        if name not in taken:
            yield name
