"""Which commands are let in: what nobody can do must not come into the journal.

One that cannot be applied would be tried again at every opening of the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from duckstore import errors
from duckstore.command import EPOCH, Command
from duckstore.grafting import ImportValues
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
    if command.operation == "import" and is_sent and not _is_import(command):
        raise errors.ArgumentError("import cannot be done with values that do not fit its items")
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


def _is_import(command: Command) -> bool:
    """Whether a conversation is whole: each item after the one that it follows, and so on."""
    try:
        return _fits(command.values, len(command.raws))
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False


def _fits(values: Mapping[str, Any], count: int) -> bool:
    if values.keys() != ImportValues.__annotations__.keys():
        return False
    lists = [values[name] for name in ("parents", "created", "agents") if values[name] is not None]
    texts = [values["title"], values["user_id"], values["source"], *(values["agents"] or ())]
    moments = [values["session_created"], *(values["created"] or ())]
    tags, metadata = (
        json.loads(values[name], parse_constant=_refuse) for name in ("tags", "metadata")
    )
    return (
        all(len(each) == count for each in lists)
        and all(map(_is_storable, (*texts, *values["branches"], *tags)))
        and all(moment is None or EPOCH + timedelta(microseconds=moment) for moment in moments)
        and all(_is_index(p + 1, i + 1) for i, p in enumerate(values["parents"] or ()))
        and all(_is_index(index, count) for index in values["branches"].values())
        and (values["last"] is None or _is_index(values["last"], count))
        and all(_is_response(told, count) for told in values["responses"])
        and isinstance(tags, list)
        and isinstance(metadata, dict)
        and isinstance(values["comes_in_pieces"], bool)
    )


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _is_storable(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.encode() is not None)


def _is_index(value: Any, count: int) -> bool:
    return _is_number(value) and 0 <= value < count


def _is_response(value: Any, count: int) -> bool:
    index, counts, *names = value
    is_known = len(names) == 3 and all(map(_is_storable, names))
    is_counted = _is_counts(counts) and all(0 <= number < 1 << 63 for number in counts or ())
    return _is_index(index, count) and is_counted and is_known


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
