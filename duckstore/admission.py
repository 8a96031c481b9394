"""Which commands are let in: what nobody can do must not come into the journal.

One that cannot be applied would be tried again at every opening of the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duckstore import errors
from duckstore.command import Command
from duckstore.operations import OPERATIONS
from duckstore.places import PLACES
from duckstore.telemetry import Seen
from duckstore.usage import Usage

__all__ = ["check"]


def check(command: Command) -> None:
    """Refuse a command that no caller of ours makes, before the journal has it.

    Raises:
        ArgumentError: Its operation or a value of it is not known.
    """
    if command.operation not in OPERATIONS:
        raise errors.ArgumentError(f"no operation is named {command.operation!r}")
    # One of our own is right as it was made.
    is_sent = bool(command.body)
    if command.operation == "add" and is_sent and not _is_seen(command.values):
        raise errors.ArgumentError(f"add cannot be done with {command.values!r}")
    for name, is_right in _VALUES.get(command.operation, {}).items():
        value = command.values.get(name)
        if not is_right(value):
            raise errors.ArgumentError(f"{command.operation} cannot be done with {name}={value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_branch(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value)


def _is_name(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_place(value: Any) -> bool:
    if value is None or value == {"input": "last"} or value == {"position": None}:
        return True
    is_one = isinstance(value, dict) and len(value) == 1
    return is_one and all(word in PLACES and _is_number(value[word]) for word in value)


def _is_batch(value: Any) -> bool:
    return value is None or (_is_numbers(value) and len(value) == 2)


def _is_counts(value: Any) -> bool:
    return value is None or (_is_numbers(value) and len(value) == len(Usage.__slots__))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_said(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and all(isinstance(texts, list) for texts in value)
    )


def _is_seen(value: Any) -> bool:
    """Whether it can be read back: what cannot would be tried again at every opening."""
    try:
        return Seen.of_values(value).is_sound
    except (TypeError, ValueError, AttributeError):
        return False


_VALUES: dict[str, dict[str, Callable[[Any], bool]]] = {
    "edit": {"target": lambda value: value is not None and _is_place(value)},
    "rewind": {"to": _is_place},
    "fork": {"at": _is_place, "name": _is_name},
    "switch": {"branch": _is_branch},
    "rename": {"branch": _is_branch, "name": lambda value: isinstance(value, str)},
    "delete_branch": {"branch": _is_branch, "force": lambda value: isinstance(value, bool)},
    "purge_items": {"item": _is_number},
    "observe": {"seen": _is_seen, "batch": _is_batch},
    "record": {"seen": _is_seen, "batch": _is_batch, "total": _is_counts, "said": _is_said},
}
