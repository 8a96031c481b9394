"""What stands in the place of what was said, in an export without it.

Without content, every text becomes a hash and its length in characters: equal texts stay equal, so
that tools, edits and repetitions can still be counted. The hash has a key that stays in the store:
whoever has the folder alone cannot try out what a short text may have been.
"""

from __future__ import annotations

from duckstore.exporting.shape import columns_of
from duckstore.schema import RELATIONS

__all__ = ["CONTENT", "hashed_columns"]

CONTENT = {
    "sessions": ("title", "user_id", "metadata", "first_user_message"),
    "runs": ("user_message", "assistant_message", "error"),
    "items": ("text", "item"),
    "messages": ("text",),
    "tool_calls": ("arguments", "output", "error", "arguments_json"),
    "outcomes": ("error",),
    "guardrails": (),
    "responses": ("error",),
    "prices": (),
    "costs": (),
    "branches": (),
    "branch_items": (),
    "history": (),
    "edit_points": ("text",),
}
"""The columns of each relation that hold what people, models and tools said."""

HASH_DIGITS = 32


def hashed_columns(key: str) -> dict[str, list[tuple[str, str]]]:
    """For each relation the columns with content, and the expressions that take their place.

    A text becomes `HASH:LENGTH`, JSON an object with `hash` and `length`.

    Args:
        key: The store's key for hashes, in hexadecimal digits.
    """
    return {
        relation: [
            (name, _hashed(name, key, is_json=_is_json(relation, name)))
            for name in CONTENT[relation]
        ]
        for relation in RELATIONS
    }


def _is_json(relation: str, name: str) -> bool:
    return (relation, name) == ("items", "item") or columns_of(relation)[name] == "JSON"


def _hashed(name: str, key: str, *, is_json: bool) -> str:
    text = f'"{name}"::varchar'
    digest = f"left(sha256(concat('{key}', {text})), {HASH_DIGITS})"
    if is_json:
        value = f"""concat('{{"hash": "', {digest}, '", "length": ', length({text}), '}}')"""
    else:
        value = f"concat({digest}, ':', length({text}))"
    return f'case when "{name}" is not null then {value} end'
