"""Items and recordings that the tests share."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from collections.abc import Coroutine
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest

from duckstore import Store

_T = TypeVar("_T")

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Recorded conversations, beside the checkout where they are to be had."""


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text}],
    }


def call(name: str, call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "name": name, "call_id": call_id, "arguments": arguments}


def output(call_id: str, text: str = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def recording(name: str) -> list[dict[str, Any]]:
    """The conversations of one recording; skips the test where the folder is absent."""
    path = RECORDINGS / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip("the recorded conversations are not beside this checkout")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def json_values() -> st.SearchStrategy[Any]:
    """Any value that Python's `json` carries, the awkward ones more often than not."""
    awkward: list[Any] = [
        *(
            "",
            "\x00",
            "a\x00b",
            "\ud800",
            "x\udfffy",
            '{"a": 1, "a": 2}',
            "\u2028",
            "é",
            "\U0001f986",
        ),
        *(2**80, -(2**80), 2**63, 10**400, 1e308, -0.0, math.inf, -math.inf, math.nan, 0.1),
        *(None, True, False, [], {}, [[]], {"": {}}),
    ]
    surrogates = st.text(st.one_of(st.characters(), st.characters(categories=["Cs"])), max_size=8)
    leaves = st.one_of(
        st.sampled_from(awkward), surrogates, st.integers(), st.floats(), st.booleans()
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(surrogates, inner, max_size=3)
        ),
        max_leaves=8,
    )


def import_tree(
    store: Store, session_id: str, items: list[Any], parents: list[int], **facts: Any
) -> None:
    """Import one conversation as a line of a file: see `duckstore.formats.jsonl`."""
    line = {"session_id": session_id, "items": items, "parents": parents, **facts}
    with NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(json.dumps(line).encode())
        file.flush()
        assert store.import_jsonl(file.name).skipped == []
