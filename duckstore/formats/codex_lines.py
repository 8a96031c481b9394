"""Lines of a Codex rollout, put together as the conversation went.

Items of the conversation are items of the Responses API and stay as they are. Beside them stand
events, of which these tell something: the model of a turn, the tokens of a model call, turns that
were taken back (what follows is a branch beside them), and compactions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duckstore.formats.sample import Skipper
from duckstore.formats.sdk_items import message
from duckstore.formats.trees import Weaver
from duckstore.formats.values import count, mapping, moment, sequence, text
from duckstore.items import describe
from duckstore.usage import Usage

__all__ = ["Rollout", "is_unmistakable"]

_LEFT_OUT = frozenset(("ghost_snapshot",))
"""Items that are none of the conversation: states of the working folder, for undoing."""
_CONTEXT = re.compile(r"\s*(?:<([a-z_]+)[ >].*</\1>\s*$|# AGENTS\.md instructions)", re.DOTALL)
"""What the program tells a model in the user's name."""
_ENVELOPES = frozenset(("session_meta", "response_item", "event_msg", "turn_context", "compacted"))


@dataclass(slots=True)
class Rollout:
    """A conversation as far as its lines were taken."""

    report: Skipper
    weaver: Weaver = field(default_factory=Weaver)
    metas: list[dict[str, Any]] = field(default_factory=list)
    """What is told of the session; after the first, of those that it was forked from."""
    title: str | None = None
    _model: str | None = None
    _uncounted: int | None = None
    """The first item of the latest model call, while its tokens are not known."""
    _counted: Any = None
    """The sums that the last count of tokens told."""
    _lost_count: int = 0
    _unknown: set[str] = field(default_factory=set)

    def take(self, line: Any, place: str) -> None:
        """Take the next line. What has no place in a conversation is told."""
        if not isinstance(line, dict):
            self.report.skip(place, "it is no line of a rollout: it is no object")
            return
        kind, payload = line.get("type"), line.get("payload")
        if isinstance(kind, str) and kind in _ENVELOPES:
            if isinstance(payload, dict):
                self._take_payload(kind, payload, moment(line.get("timestamp")), place)
            else:
                self.report.skip(place, f"its payload is a {type(payload).__name__}, no object")
        elif kind is None and "record_type" in line:
            pass  # rollouts of 2025 are full of `{"record_type": "state"}`
        elif kind is None and isinstance(line.get("id"), str):
            self.metas.append(line)  # their first line
        elif isinstance(kind, str) and payload is None:
            self._add(line, moment(line.get("timestamp")), place)
        elif str(kind) not in self._unknown:
            self._unknown.add(str(kind))
            self.report.skip(place, f"lines of the unknown kind {kind!r}: this is the first")

    def close(self) -> None:
        """Tell what can only be told at the end."""
        if self._lost_count:
            self.report.skip(
                "the whole file",
                f"the token usage of {self._lost_count} model calls that left no item",
            )

    def _take_payload(
        self, kind: str, payload: dict[str, Any], at: datetime | None, place: str
    ) -> None:
        if kind == "session_meta":
            self.metas.append(payload)
        elif kind == "turn_context":
            self._model = text(payload.get("model")) or self._model
        elif kind == "response_item":
            self._add(payload, at, place)
        elif kind == "compacted":
            self._take_compaction(payload, at, place)
        elif payload.get("type") == "token_count":
            self._take_count(mapping(payload.get("info")))
        elif payload.get("type") == "thread_rolled_back":
            self._roll_back(payload.get("num_turns"), place)
        elif payload.get("type") == "thread_name_updated":
            self.title = text(payload.get("thread_name")) or text(payload.get("name")) or self.title

    def _add(self, item: dict[str, Any], at: datetime | None, place: str) -> None:
        kind = item.get("type")
        if not isinstance(kind, str):
            self.report.skip(place, "it is no item: it has no type")
            return
        if kind in _LEFT_OUT:
            return
        try:
            is_models = describe(item).part == "model"
        except RecursionError:
            self.report.skip(place, "it is nested too deeply")
            return
        before = self.weaver.tip
        goes_on = self._uncounted is not None and before >= 0 and self._is_models(before)
        index = self.weaver.add(item, at)
        if is_models and not goes_on:
            self._uncounted = index
            self.weaver.response(index).learn(model=self._model)

    def _is_models(self, index: int) -> bool:
        return describe(self.weaver.items[index]).part == "model"

    def _take_compaction(self, payload: dict[str, Any], at: datetime | None, place: str) -> None:
        """What the model is told from here on in the place of what was said."""
        if words := text(payload.get("message")):
            self._add(message("developer", words), at, place)
            return
        for item in map(mapping, sequence(payload.get("replacement_history"))):
            is_summary = str(item.get("type")).endswith(("compaction", "compaction_summary"))
            if is_summary and item not in self.weaver.items[-3:]:
                self._add(item, at, place)

    def _take_count(self, info: dict[str, Any]) -> None:
        """The tokens of the latest model call. The same sums again are no further call."""
        told, sums = mapping(info.get("last_token_usage")), info.get("total_token_usage")
        if not told or (sums is not None and sums == self._counted):
            return
        self._counted = sums
        if self._uncounted is None:
            self._lost_count += 1
            return
        tokens_in, tokens_out = count(told.get("input_tokens")), count(told.get("output_tokens"))
        usage = Usage(
            request_count=1,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cache_read_input_tokens=count(told.get("cached_input_tokens")),
            cache_write_input_tokens=count(told.get("cache_write_input_tokens")),
            reasoning_output_tokens=count(told.get("reasoning_output_tokens")),
            total_tokens=count(told.get("total_tokens")) or tokens_in + tokens_out,
        )
        self.weaver.response(self._uncounted).learn(usage=usage)
        self._uncounted = None

    def _roll_back(self, turn_count: Any, place: str) -> None:
        """Go back before the last turns: what follows stands beside them."""
        path = self.weaver.path(self.weaver.tip)
        turns = [index for index in path if _is_question(self.weaver.items[index])]
        number = count(turn_count)
        if not number or not turns:
            self.report.skip(place, f"{turn_count!r} turns were taken back, which are not there")
            return
        self.weaver.tip = self.weaver.parents[turns[-min(number, len(turns))]]
        self._uncounted = None


def _is_question(item: Any) -> bool:
    """Whether a person said it."""
    if not isinstance(item, dict) or item.get("role") != "user" or item.get("type") != "message":
        return False
    return _CONTEXT.match(describe(item).text or "") is None


def is_unmistakable(item: Any) -> bool:
    """Whether no two conversations have such an item by chance: it has an id that was drawn."""
    if not isinstance(item, dict):
        return False
    return any(len(text(item.get(key)) or "") >= 16 for key in ("call_id", "encrypted_content"))
