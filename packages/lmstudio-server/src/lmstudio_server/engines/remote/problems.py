"""What a remote server's failures mean, in words for people. No I/O, and never the API key."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lmstudio_core.lenient import as_mapping, as_words, error_text, is_mapping
from lmstudio_server.engines.base import ContextOverflowError, EngineError

if TYPE_CHECKING:
    from .settings import RemoteServer

__all__ = [
    "connection_problem",
    "lacks",
    "not_openai",
    "overflow_of",
    "status_problem",
    "unknown_model",
]

_SHOWN = 500
_VLLM_OVERFLOW = re.compile(
    r"maximum context length is (?P<context>\d+) tokens.*?(?P<prompt>\d+) "
    r"(?:in the messages|input tokens|in the prompt)",
    re.DOTALL,
)


def _where(server: RemoteServer) -> str:
    return f"the remote server {server.name!r} ({server.base_url})"


def connection_problem(server: RemoteServer, error: Exception) -> EngineError:
    """The server is not there, broke off, or is silent."""
    words = error_text(error, named=True)
    if type(error).__name__ == "ReadTimeout":
        return EngineError(
            f"No answer from {_where(server)} for {server.timeout:g} s",
            cause=words,
            suggestion="Try again when it is less busy, or set a longer timeout for it.",
        )
    if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
        return EngineError(
            f"Cannot reach {_where(server)}",
            cause=words,
            suggestion="Check that it runs, and its base_url in the settings.",
        )
    return EngineError(
        f"The connection to {_where(server)} broke",
        cause=words,
        suggestion="Try again; its own log may say more.",
    )


def not_openai(server: RemoteServer, what: str) -> EngineError:
    """The answer is not of the form it has to be."""
    return EngineError(
        f"The answer of {_where(server)} cannot be read",
        cause=what,
        suggestion="Check that base_url is that of a server with OpenAI's API, and ends as its "
        "documentation says (often /v1).",
    )


def status_problem(server: RemoteServer, status: int, payload: Any) -> EngineError:
    """The server answered with an error status; ``payload`` is the JSON or text that it sent.

    Args:
        server: The server.
        status: The HTTP status.
        payload: The JSON or text that it sent.
    """
    overflow = overflow_of(payload)
    if overflow is not None:
        return overflow
    message = f"HTTP status {status}"
    said = message_of(payload)
    if as_words(said):
        message += f": {_without_key(server, said)[:_SHOWN]}"
    if status in (401, 403):
        return EngineError(
            f"Access denied by {_where(server)}",
            cause=message,
            suggestion="Set its API key (api_key_env or api_key), or one that is allowed this.",
        )
    if status == 429:
        return EngineError(
            f"Too many requests for {_where(server)}",
            cause=message,
            suggestion="Try again later, or with fewer predictions at once.",
        )
    if status >= 500:
        return EngineError(
            f"Failure of {_where(server)}",
            cause=message,
            suggestion="Try again; its own log may say more.",
        )
    return EngineError(
        f"Request refused by {_where(server)}",
        cause=message,
        suggestion="Check the messages, the tools and the prediction settings.",
    )


def unknown_model(server: RemoteServer, model: str, listed: list[str]) -> EngineError:
    """The server does not have the model.

    Args:
        server: The server.
        model: The model's name.
        listed: The models that it has.
    """
    return EngineError(
        f"The model {model!r} is not on {_where(server)}",
        cause=f"It has: {', '.join(listed[:10]) or 'none'}.",
        suggestion="Start the remote server with that model, or correct the name in the settings.",
    )


def lacks(server: RemoteServer, feature: str, suggestion: str) -> EngineError:
    """OpenAI's API has no such thing, and the server none of its own.

    Args:
        server: The server.
        feature: What it lacks, in words.
        suggestion: What to do instead.
    """
    return EngineError(
        f"{feature} is not offered by {_where(server)}",
        cause="OpenAI's API has nothing for it; llama.cpp's server and vLLM have additions.",
        suggestion=suggestion,
    )


def overflow_of(payload: Any) -> ContextOverflowError | None:
    """The error for a prompt that is too long, if ``payload`` tells of one."""
    inner = _inner(payload)
    prompt, context = (as_mapping(inner).get(name) for name in ("n_prompt_tokens", "n_ctx"))
    if isinstance(prompt, int) and isinstance(context, int):
        return ContextOverflowError(prompt, context)
    match = _VLLM_OVERFLOW.search(message_of(payload))
    if match is None:
        return None
    return ContextOverflowError(int(match["prompt"]), int(match["context"]))


def message_of(payload: Any) -> str:
    """What an error answer says, in whichever of the usual forms."""
    inner = _inner(payload)
    if isinstance(inner, str):
        return inner.strip()
    for name in ("message", "detail", "msg"):
        if isinstance(as_mapping(inner).get(name), str):
            return str(inner[name])
    return "" if inner is None else json.dumps(inner, ensure_ascii=False)


def _inner(payload: Any) -> Any:
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            return payload
    return payload.get("error", payload) if is_mapping(payload) else payload


def _without_key(server: RemoteServer, text: str) -> str:
    return text.replace(server.api_key, "***") if server.api_key else text
