"""Chunks of OpenAI's streams in the one form that ``ChatFold`` takes. No I/O.

Servers differ: some count tokens in every chunk and some at the end only, some call reasoning
``reasoning``, some leave out a tool call's index or id, and a token's id is llama.cpp's addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmstudio_core.lenient import as_list, as_mapping, is_mapping
from lmstudio_server.engines.llamacpp.chat_fold import ChatFold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmstudio_server.engines.base import EngineEvent, Finished

__all__ = ["RemoteFold"]

NO_ID = -1
"""Stands for a token's id where the server tells none."""


class RemoteFold:
    """Takes the chunks of one chat or completion stream in order.

    Args:
        max_tokens: The limit asked for.
        log_probs: How many candidates to report per token.
        new_call_id: Makes ids for tool calls that come without.
    """

    def __init__(
        self, *, max_tokens: int | None, log_probs: int | None, new_call_id: Callable[[], str]
    ) -> None:
        self._fold = ChatFold(max_tokens=max_tokens, log_probs=log_probs)
        self._new_call_id = new_call_id
        self._pieces = 0
        self._call_index = -1
        self._call_id: str | None = None
        self._counts = False
        self.finished: bool = False
        """Whether the server said how the text ended."""

    def feed(self, chunk: Mapping[str, Any]) -> list[EngineEvent]:
        """Return the events in one chunk."""
        return self._fold.feed(self._normal(chunk))

    def finish(self) -> list[EngineEvent]:
        """Return the last events: an open call's end, and ``Finished``."""
        return self._fold.finish()

    def stopped(self, stop_string: str) -> Finished:
        """Return the last event of a stream that was left at a stop string."""
        return self._fold.stopped(stop_string)

    def _normal(self, chunk: Mapping[str, Any]) -> dict[str, Any]:
        normal = {k: chunk[k] for k in ("timings", "prompt_progress") if chunk.get(k) is not None}
        usage: Any = chunk.get("usage")
        if is_mapping(usage) and "prompt_tokens" in usage:
            normal["usage"] = {"completion_tokens": self._pieces, **usage}
        choices: Any = chunk.get("choices")
        if not choices:
            return normal
        choice: Mapping[str, Any] = choices[0]
        delta = self._delta(choice)
        reason = choice.get("finish_reason")
        self.finished = self.finished or bool(reason)
        # Some servers end an answer that is a call with "stop".
        if reason == "stop" and self._call_index >= 0:
            reason = "tool_calls"
        self._count(normal, delta)
        logprobs = choice.get("logprobs")
        normal["choices"] = [
            {
                "delta": delta,
                "finish_reason": reason,
                "logprobs": {"content": _entries(logprobs)},
            }
        ]
        return normal

    def _delta(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        if "text" in choice:  # a completion
            return {"content": choice["text"]}
        delta = dict(choice.get("delta") or {})
        if not delta.get("reasoning_content"):
            delta["reasoning_content"] = delta.get("reasoning")
        calls: Sequence[Mapping[str, Any]] = delta.get("tool_calls") or ()
        delta["tool_calls"] = [self._call(part) for part in calls]
        return delta

    def _call(self, part: Mapping[str, Any]) -> dict[str, Any]:
        index = part.get("index")
        if index is None:
            # Without an index, whatever has a name is a new call.
            named = bool(as_mapping(part.get("function")).get("name"))
            index = self._call_index + 1 if named or self._call_index < 0 else self._call_index
        given: Any = part.get("id")
        if index == self._call_index and given and self._call_id not in (None, given):
            # Some servers give every call the same index: it is another one by its id.
            index += 1
        index = max(index, self._call_index)
        is_new = index != self._call_index
        call_id = given or (self._new_call_id() if is_new else None)
        if is_new:
            self._call_index, self._call_id = index, call_id
        return {**part, "index": index, "id": call_id}

    def _count(self, normal: dict[str, Any], delta: Mapping[str, Any]) -> None:
        """Where the server counts no tokens as it goes, take each piece for one."""
        if "timings" in normal or "usage" in normal:
            self._counts = True
        elif not self._counts and any(
            delta.get(name) for name in ("content", "reasoning_content", "tool_calls")
        ):
            self._pieces += 1
            normal["timings"] = {"predicted_n": self._pieces}


def _entries(logprobs: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": NO_ID,
            **entry,
            "top_logprobs": [{"id": NO_ID, **best} for best in as_list(entry.get("top_logprobs"))],
        }
        for entry in as_list(as_mapping(logprobs).get("content"))
    ]
