"""What a worker's stderr and exit code mean, in words for people. No I/O."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import ContextOverflowError, ContextSharedError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TRIED = "2026.10.11549"
"""The newest ``xllamacpp`` that the tests ran with; a test compares it with ``constraints/``."""
_LOG_PREFIX = re.compile(r"^\d+\.\d\d\.\d{3}\.\d{3} (?P<level>[A-Z]) (?P<message>.*)$")
_FUNCTION_PREFIX = re.compile(r"^\s*(?:(?:srv|cmn|slot|llg|que|res)\s+)?[A-Za-z_]\w*\(?\)?:\s+")
# What llama.cpp repeats on its way out of a failed load; the lines before say why.
_REPETITIONS = ("failed to load model", "exiting due to model loading error", "failed to read")
LOG_SECONDS = 2.0
"""How long the log is given to say why a schema or a grammar was refused."""
VERDICT_SECONDS = 0.05
"""How long the log is given to say that a schema is refused, the first time it is used: it comes from a thread of
its own, and a small model is faster."""
_MOST_VERDICTS = 500
GRAMMAR_REFUSED = "failed to launch slot"
"""The last that llama.cpp's log says about a request that it refused."""
_DAMAGED = (
    "not within the file bounds",
    "corrupted",
    "invalid magic",
    "failed to read",
    "must be in [",
    "unexpectedly reached end",
    "failed to open gguf",
)


class SchemaRefusedError(EngineError):
    """llama.cpp's compiler could not take a JSON schema."""


class Verdicts:
    """What llama.cpp's compiler made of each schema, so that none is tried twice."""

    def __init__(self) -> None:
        self._refused: dict[str, SchemaRefusedError | None] = {}

    def is_known(self, schema: Mapping[str, Any]) -> bool:
        """Whether ``schema`` was tried before."""
        return json.dumps(schema) in self._refused

    def refusal(self, schema: Mapping[str, Any]) -> SchemaRefusedError | None:
        """Return the error with which ``schema`` was refused before."""
        error = self._refused.get(json.dumps(schema))
        if error is None:
            return None
        return SchemaRefusedError(error.title, cause=error.cause, suggestion=error.suggestion)

    def remember(self, schema: Mapping[str, Any], error: SchemaRefusedError | None) -> None:
        """Keep what became of ``schema``; ``None``: it was taken."""
        if len(self._refused) >= _MOST_VERDICTS:
            self._refused.clear()
        self._refused[json.dumps(schema)] = error


def message_of(line: str) -> str:
    """Return a line of llama.cpp's log without its time, level and function name."""
    match = _LOG_PREFIX.match(line)
    message = match.group("message") if match else line
    message = _FUNCTION_PREFIX.sub("", message.strip(), count=1)
    return message.removeprefix("error loading model: ").strip()


def load_failure_cause(lines: Iterable[str]) -> str | None:
    """Return why a load failed in llama.cpp's own words, or ``None`` if it did not say."""
    messages = [message_of(line) for line in lines if line.strip()]
    telling = [text for text in messages if not any(word in text for word in _REPETITIONS)]
    chosen = telling or messages[:1]
    return "; ".join(dict.fromkeys(chosen[:3])) or None


def load_error(path: Path, lines: Iterable[str]) -> EngineError:
    """Return the error for a model file that llama.cpp refused."""
    lines = list(lines)
    cause = load_failure_cause(lines)
    text = " ".join(lines).lower()
    if "unknown model architecture" in text:
        suggestion = "This llama.cpp does not know the model's architecture: upgrade xllamacpp."
    elif any(word in text for word in _DAMAGED):
        suggestion = "The file is damaged, incomplete or no GGUF: download it again."
    elif "alloc" in text or "out of memory" in text:
        suggestion = "Free memory, or load the model with a smaller contextLength."
    else:
        suggestion = "Check that the file is a model llama.cpp can run, and the load settings."
    return EngineError(f"Could not load {path.name}", cause=cause, suggestion=suggestion)


def import_error(message: str) -> EngineError:
    """Return the error for a worker that could not import llama.cpp."""
    if "libgomp" in message:
        return EngineError(
            "llama.cpp cannot start: the system library libgomp.so.1 is missing",
            cause=message,
            suggestion=(
                "Install the package libgomp1 (Debian, Ubuntu: apt-get install libgomp1; "
                "Fedora: dnf install libgomp)."
            ),
        )
    return EngineError(
        "llama.cpp cannot start: the package xllamacpp cannot be imported",
        cause=message,
        suggestion="Reinstall it: pip install --force-reinstall xllamacpp.",
    )


def misfit_error(message: str) -> EngineError:
    """Return the error for a llama.cpp that lacks what this server asks of it."""
    return EngineError(
        "llama.cpp cannot start: this version of the package xllamacpp does not fit this server",
        cause=message,
        suggestion=f'Install the version it was tried with: pip install "xllamacpp=={TRIED}".',
    )


def exit_words(return_code: int | None) -> str:
    """Say how a process ended, from its return code."""
    if return_code is None:
        return "its end was not observed"
    if return_code >= 0:
        return f"exit code {return_code}"
    try:
        name = signal.Signals(-return_code).name
    except ValueError:
        name = "unknown"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"killed by signal {-return_code} ({name}){hint}"


def crash_reason(return_code: int | None, lines: Iterable[str]) -> str:
    """Say how a worker ended and what it said last."""
    last = [message_of(line) for line in lines if line.strip()][-1:]
    words = exit_words(return_code)
    return f"{words}; its last words: {last[0]}" if last else words


def empty_text_error() -> EngineError:
    """Return the error for a text to embed that has no tokens."""
    return EngineError(
        "An empty text has no embedding",
        suggestion="Leave empty texts out, or embed what stands for them.",
    )


def response_error(
    status: int, payload: Mapping[str, Any], lines: Iterable[str], context_length: int = 0
) -> EngineError:
    """Return the error for a request that llama.cpp refused with ``status`` and ``payload``.

    Args:
        status: The HTTP status.
        payload: The body, read as JSON.
        lines: The last lines of the engine's log.
        context_length: The model's context in tokens.
    """
    error: Mapping[str, Any] = payload.get("error") or {}
    message = str(error.get("message") or f"HTTP status {status}")
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflowError(int(error["n_prompt_tokens"]), int(error["n_ctx"]))
    overflow = re.match(
        r"input \((\d+) tokens\) is too large to process\..*batch size: (\d+)\)", message
    )
    if overflow:
        return ContextOverflowError(int(overflow.group(1)), int(overflow.group(2)))
    if "Context size has been exceeded" in message:
        return ContextSharedError(context_length)
    if "Failed to load image" in message:
        return EngineError(
            "An image of the chat cannot be read",
            cause="its bytes are damaged, or of a format llama.cpp does not know",
            suggestion="Send a whole PNG or JPEG file.",
        )
    if "Input content cannot be empty" in message:
        return empty_text_error()
    if names_grammar(payload):
        return grammar_error(lines)
    if "image input is not supported" in message:
        return EngineError(
            "The model cannot see images",
            cause=message,
            suggestion="Load a vision model, with its mmproj file in the same folder.",
        )
    return EngineError(
        "The engine refused the request",
        cause=message,
        suggestion="Check the messages, the tools and the prediction settings.",
    )


def too_long_text_error(error: ContextOverflowError) -> ContextOverflowError:
    """Return ``error`` in the words for a text to embed."""
    told = ContextOverflowError(error.prompt_tokens, error.context_length)
    told.title = f"The text has {error.prompt_tokens} tokens and the model takes {error.context_length} at once."
    told.suggestion = (
        "Embed it in parts, or load the model with a larger contextLength if it was made for more."
    )
    return told


def names_grammar(payload: Mapping[str, Any]) -> bool:
    """Whether a refused request was refused for its GBNF grammar."""
    error: Mapping[str, Any] = payload.get("error") or {}
    return "failed to parse grammar" in str(error.get("message"))


def grammar_error(lines: Iterable[str]) -> EngineError:
    """Return the error for a GBNF grammar that llama.cpp cannot use.

    ``lines`` are those of its log since the request. What the parser says has a line of its own; what
    is wrong with a grammar as a whole (no root, a rule that begins with itself) is an error like others.
    """
    said: list[str] = []
    for line in lines:
        match = _LOG_PREFIX.match(line)
        if line.startswith("parse: "):
            said.append(line.partition("parse: ")[2].strip())
        elif match and "grammar" in line and "failed to parse grammar" not in line:
            said.append(message_of(line))
    return EngineError(
        "The grammar cannot be used",
        cause=said[-1] if said else None,
        suggestion="Correct the GBNF text: each rule used has to be defined, 'root' is the first.",
    )


def is_unreadable(payload: Mapping[str, Any]) -> bool:
    """Whether a stream failed since llama.cpp could not read what the model wrote."""
    error: Mapping[str, Any] = payload.get("error") or {}
    return "does not match the expected" in str(error.get("message"))


def refuses_tools(payload: Mapping[str, Any]) -> bool:
    """Whether a request was refused since llama.cpp could make no grammar of its tools."""
    error: Mapping[str, Any] = payload.get("error") or {}
    message = str(error.get("message"))
    return "JSON schema" in message or "parser" in message or names_grammar(payload)


_JSON_STARTS = tuple('{["-0123456789tfn')


def ignores_schema(text: str, *, ended: bool) -> bool:
    """Whether ``text`` cannot have been held to a JSON schema.

    ``ended``: the model ended the text itself, so it has to be whole.
    """
    if not text.startswith(_JSON_STARTS):
        return bool(text) or ended
    if not ended:
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def schema_error(lines: Iterable[str], tag: str) -> SchemaRefusedError | None:
    """Return the error for a JSON schema llama.cpp gave up on, if its log says so.

    llama.cpp goes on without the schema and says so on stderr alone. ``tag`` is the ``$comment`` the
    request put into its schema, so that another request's error is not taken for this one's.
    """
    text = "\n".join(lines)
    # One message per "llg error:", ended by the grammar it is about, which holds the tag.
    for block in text.split("llg error:")[1:]:
        if tag not in block:
            continue
        cause = block.partition("%llguidance")[0].rpartition("\n")[0]
        cause = re.sub(r"^\s*at \d+\(\d+\): ", "", cause)
        return SchemaRefusedError(
            "The JSON schema cannot be used",
            cause=re.sub(r"\s+", " ", cause).strip(),
            suggestion="Leave out or rewrite the part named above.",
        )
    return None


def ignored_schema_error(lines: Iterable[str], tag: str) -> SchemaRefusedError:
    """Return the error for text that does not keep to its schema, with the reason if it is known."""
    return schema_error(lines, tag) or SchemaRefusedError(
        "The JSON schema was not applied",
        cause="what the model wrote is not JSON",
        suggestion="Simplify the schema: llama.cpp leaves out a schema it cannot compile.",
    )
