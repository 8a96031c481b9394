"""Token counts, named as in the GenAI semantic conventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import Any

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one or more model calls.

    Input tokens include those that were read from a cache or written to one, output tokens those
    of the reasoning, as the SDK counts them.
    """

    request_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    total_tokens: int = 0

    @classmethod
    def of(cls, usage: Any, *, request_count: int | None = None) -> Usage:
        """The counts of an SDK `Usage` or `RequestUsage` object; 0 where it has none."""
        details_in = getattr(usage, "input_tokens_details", None)
        details_out = getattr(usage, "output_tokens_details", None)
        requests = _count(usage, "requests") if request_count is None else request_count
        return cls(
            request_count=requests,
            input_tokens=_count(usage, "input_tokens"),
            output_tokens=_count(usage, "output_tokens"),
            cache_read_input_tokens=_count(details_in, "cached_tokens"),
            cache_write_input_tokens=_count(details_in, "cache_write_tokens"),
            reasoning_output_tokens=_count(details_out, "reasoning_tokens"),
            total_tokens=_count(usage, "total_tokens"),
        )

    @classmethod
    def of_json(cls, usage: Mapping[str, Any]) -> Usage:
        """The counts of a usage object of the Responses or the Chat Completions API."""
        details_in = usage.get("input_tokens_details") or usage.get("prompt_tokens_details")
        details_out = usage.get("output_tokens_details") or usage.get("completion_tokens_details")
        tokens_in = _item(usage, "input_tokens") or _item(usage, "prompt_tokens")
        tokens_out = _item(usage, "output_tokens") or _item(usage, "completion_tokens")
        return cls(
            request_count=1,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cache_read_input_tokens=_item(details_in, "cached_tokens"),
            cache_write_input_tokens=_item(details_in, "cache_write_tokens"),
            reasoning_output_tokens=_item(details_out, "reasoning_tokens"),
            total_tokens=_item(usage, "total_tokens") or tokens_in + tokens_out,
        )

    @classmethod
    def sum(cls, usages: Iterable[Usage]) -> Usage:
        """All of them together."""
        total = cls()
        for usage in usages:
            total += usage
        return total

    @property
    def counts(self) -> list[int]:
        """The counts in order."""
        return [
            self.request_count,
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_write_input_tokens,
            self.reasoning_output_tokens,
            self.total_tokens,
        ]

    def __add__(self, more: Usage) -> Usage:
        return Usage(*map(add, self.counts, more.counts))

    def since(self, earlier: Usage) -> Usage:
        """What was added after `earlier`; no count is below 0."""
        now, then = self.counts, earlier.counts
        if now == then:
            return Usage()
        return Usage(*[max(a - b, 0) for a, b in zip(now, then, strict=True)])

    def has_tokens_of(self, other: Usage) -> bool:
        """Whether the tokens are the same, however many requests they took."""
        return self.counts[1:] == other.counts[1:]

    def __bool__(self) -> bool:
        return any(self.counts)


def _item(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) else 0


def _count(holder: Any, name: str) -> int:
    value = getattr(holder, name, 0)
    return value if isinstance(value, int) else 0
