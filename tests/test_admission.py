"""What nobody can do never comes into the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import errors
from duckstore.command import Command
from tests.samples import user

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("nothing like it", {}),
    ("edit", {"target": None}),
    ("edit", {"target": {"turn": "2"}}),
    ("edit", {"target": {"turn": True}}),
    ("edit", {}),
    ("rewind", {"to": {"item": 1, "turn": 2}}),
    ("rewind", {"to": "the start"}),
    ("fork", {"at": {"turn": None}, "name": "x"}),
    ("fork", {"at": None, "name": 7}),
    ("switch", {"branch": None}),
    ("switch", {"branch": ["main"]}),
    ("rename", {"branch": "main", "name": None}),
    ("delete_branch", {"branch": "x", "force": "yes"}),
    ("purge_items", {"item": None}),
    ("usage", {"usage": ["1"]}),
    *(
        ("observe", {"seen": {"responses": [{"offered_tools": tools}]}, "batch": None})
        for tools in ("find", 7, {"find": 1}, ["find", 7])
    ),
]


@pytest.mark.parametrize(("operation", "values"), WRONG)
def test_a_command_that_cannot_be_applied_is_refused(
    operation: str, values: dict[str, Any], path: Path
) -> None:
    """It would be tried again at every opening. The store goes on as if it had not been sent."""
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user("hello")])
        with pytest.raises(errors.ArgumentError):
            store._access.run(Command(operation, "s", values, ['"x"'], 5))
        talk.add([user("again")])
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == [user("hello"), user("again")]
        assert store.check() == []
