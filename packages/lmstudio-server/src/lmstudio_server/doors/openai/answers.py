"""From the packets of a prediction to the answers that OpenAI's clients read. No I/O."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lmstudio_core.lenient import json_text
from lmstudio_server.doors.errors import DoorError, model_unloaded

__all__ = ["Answer", "Generation", "embedding_answer", "error_answer", "model_object"]

Json = dict[str, Any]

_FINISH: Final = {
    "maxPredictedTokensReached": "length",
    "contextLengthReached": "length",
    "toolCalls": "tool_calls",
}


@dataclass
class Generation:
    """What one prediction has given so far."""

    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    reasoning_tokens: int = 0
    calls: list[Json] = field(default_factory=list[Json])
    tokens: list[Json] = field(default_factory=list[Json])
    cached: int = 0
    stats: Json = field(default_factory=dict[str, Any])
    _call_id: str | None = None

    def feed(self, packet: Mapping[str, Any]) -> Json | None:
        """Take a packet; returns what a stream shows of it (a chat's ``delta``), if anything."""
        kind = packet["type"]
        if kind == "fragment":
            return self._fragment(packet["fragment"])
        if kind == "promptProcessingProgress":
            self.cached = packet["details"]["cachedTokenCount"]
        elif kind == "success":
            self.stats = dict(packet["stats"])
        elif kind.startswith("toolCallGeneration"):
            return self._call(kind.removeprefix("toolCallGeneration"), packet)
        return None

    @property
    def finish_reason(self) -> str:
        """Why it ended."""
        reason = _FINISH.get(self.stats.get("stopReason", ""), "stop")
        return "tool_calls" if self.calls and reason == "stop" else reason

    @property
    def usage(self) -> Json:
        """The number of tokens."""
        prompt = self.stats.get("promptTokensCount", 0)
        predicted = self.stats.get("predictedTokensCount", 0)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": predicted,
            "total_tokens": prompt + predicted,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }

    def check(self) -> None:
        """Raise if the prediction did not come to an end of its own."""
        if self.stats.get("stopReason") == "modelUnloaded":
            raise model_unloaded()

    def _fragment(self, fragment: Mapping[str, Any]) -> Json | None:
        self.tokens += fragment.get("tokens", ())
        if fragment["reasoningType"] == "reasoning":
            self.reasoning_tokens += fragment["tokensCount"]
        content = fragment["content"]
        if fragment["isStructural"] or not content:
            return None
        if fragment["reasoningType"] == "reasoning":
            self.reasoning.append(content)
            return {"reasoning_content": content}
        self.text.append(content)
        return {"content": content}

    def _call(self, kind: str, packet: Mapping[str, Any]) -> Json | None:
        """Tell a call when it is whole: one that a limit cuts off comes as text in the end."""
        if kind == "Start":
            self._call_id = packet["toolCallId"]
        elif kind == "End":
            request = packet["toolCallRequest"]
            function = {"name": request["name"], "arguments": json_text(request["arguments"])}
            call_id = request.get("id") or self._call_id
            self.calls.append({"id": call_id, "type": "function", "function": function})
            return {"tool_calls": [{"index": len(self.calls) - 1, **self.calls[-1]}]}
        return None


@dataclass(frozen=True)
class Answer:
    """The frame around what was generated: a whole answer, or the chunks of a stream."""

    id: str
    created: int
    model: str
    chat: bool
    include_usage: bool = False
    echo: str = ""
    logprobs: int | None = None
    """How many candidates a token the client asked for; ``None``: no probabilities."""

    def whole(self, generations: Sequence[Generation], echoes: Sequence[str] = ()) -> Json:
        """The answer to a request without ``stream``."""
        texts = echoes or [""] * len(generations)
        choices = [self._choice(index, one, texts[index]) for index, one in enumerate(generations)]
        usage = generations[0].usage
        for other in generations[1:]:
            for key in ("prompt_tokens", "completion_tokens", "total_tokens"):
                usage[key] += other.usage[key]
        return {**self._head(stream=False), "choices": choices, "usage": usage}

    def first(self, index: int = 0, echo: str = "") -> Iterator[Json]:
        """The chunk before the first token."""
        if self.chat:
            yield self._chunk({"role": "assistant", "content": ""}, index)
        elif echo:
            yield self._chunk({"content": echo}, index)

    def next(
        self, generation: Generation, packet: Mapping[str, Any], index: int = 0
    ) -> Iterator[Json]:
        """The chunks that a packet becomes.

        Args:
            generation: The generation that it is of.
            packet: A packet of the WebSocket endpoint.
            index: Which of the choices it is.
        """
        before = len(generation.tokens)
        delta = generation.feed(packet)
        tokens = generation.tokens[before:]
        if delta is None and not (tokens and self.logprobs is not None):
            return
        if not self.chat and (delta is None or "content" not in delta):
            return
        yield self._chunk(delta or {}, index, tokens)

    def last(self, generation: Generation, index: int = 0) -> Iterator[Json]:
        """The chunk that says why it ended."""
        generation.check()
        chunk = self._chunk({}, index)
        chunk["choices"][0]["finish_reason"] = generation.finish_reason
        yield chunk

    def usage(self, generations: Sequence[Generation]) -> Iterator[Json]:
        """The chunk with the number of tokens, if it was asked for."""
        if self.include_usage:
            whole = self.whole(generations)
            yield {**self._head(stream=True), "choices": [], "usage": whole["usage"]}

    def _head(self, *, stream: bool) -> Json:
        kind = "text_completion"
        if self.chat:
            kind = "chat.completion.chunk" if stream else "chat.completion"
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.model,
        }

    def _choice(self, index: int, one: Generation, echo: str) -> Json:
        one.check()
        choice: Json = {"index": index}
        if self.chat:
            choice["message"] = _message(one)
            choice["logprobs"] = self._chat_logprobs(one.tokens)
        else:
            choice["text"] = echo + "".join(one.text)
            choice["logprobs"] = self._text_logprobs(one.tokens)
        return {**choice, "finish_reason": one.finish_reason}

    def _chunk(self, delta: Json, index: int, tokens: Sequence[Json] = ()) -> Json:
        choice: Json = {"index": index}
        if self.chat:
            choice["delta"] = delta
            choice["logprobs"] = self._chat_logprobs(tokens)
        else:
            choice["text"] = delta.get("content", "")
            choice["logprobs"] = self._text_logprobs(tokens)
        choice["finish_reason"] = None
        chunk = {**self._head(stream=True), "choices": [choice]}
        return {**chunk, "usage": None} if self.include_usage else chunk

    def _chat_logprobs(self, tokens: Sequence[Json]) -> Json | None:
        shown = [token for token in tokens if "logProb" in token]
        if self.logprobs is None or not shown:
            return None
        return {
            "content": [
                {
                    **_logprob(token),
                    "top_logprobs": [_logprob(c) for c in token["candidates"][: self.logprobs]],
                }
                for token in shown
            ],
            "refusal": None,
        }

    def _text_logprobs(self, tokens: Sequence[Json]) -> Json | None:
        shown = [token for token in tokens if "logProb" in token]
        if self.logprobs is None or not shown:
            return None
        return {
            "tokens": [token["text"] for token in shown],
            "token_logprobs": [token["logProb"] for token in shown],
            "top_logprobs": [
                {c["text"]: c["logProb"] for c in token["candidates"][: self.logprobs]}
                for token in shown
            ],
        }


def _message(one: Generation) -> Json:
    text = "".join(one.text)
    message: Json = {"role": "assistant", "content": text}
    if one.reasoning:
        message["reasoning_content"] = "".join(one.reasoning)
    if one.calls:
        message["tool_calls"] = one.calls
        message["content"] = text or None
    return message


def _logprob(token: Mapping[str, Any]) -> Json:
    text: str = token["text"]
    return {
        "token": text,
        "logprob": token["logProb"],
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }


def embedding_answer(
    vectors: Sequence[Sequence[float]], model: str, tokens: int, *, as_base64: bool
) -> Json:
    """The answer to ``POST /v1/embeddings``.

    Args:
        vectors: A vector for each text.
        model: The model's name, as the request has it.
        tokens: Tokens of all texts.
        as_base64: Whether vectors are written as base64 of float32.
    """
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _packed(vector) if as_base64 else list(vector),
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _packed(vector: Sequence[float]) -> str:
    # Little-endian 32-bit floats, as OpenAI's clients read them.
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def model_object(identifier: str, created: int) -> Json:
    """An entry of ``GET /v1/models``."""
    return {
        "id": identifier,
        "object": "model",
        "created": created,
        "owned_by": "organization_owner",
    }


def error_answer(error: DoorError) -> Json:
    """An error as OpenAI's clients read it."""
    kind = "invalid_request_error" if error.is_request else "server_error"
    if error.status == 401:
        kind = "authentication_error"
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.param,
            "code": error.code,
        }
    }
