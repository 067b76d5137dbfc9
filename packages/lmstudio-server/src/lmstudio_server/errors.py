"""What goes wrong, in the shape in which clients are told.

Every ``WireError`` says what happened (title), why (cause) and what to do next (suggestion);
``display`` is the machine-readable part (``displayData`` on the wire).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.lenient import as_words, error_text

from ._version import __version__
from .engines.base import EngineCrashedError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "PASSING",
    "ShuttingDownError",
    "WireError",
    "close_matches_text",
    "domain_mismatch",
    "from_engine",
    "identifier_in_use",
    "internal",
    "model_not_found",
    "no_loaded_model",
    "not_offered",
    "preset_not_found",
    "specific_model_unloaded",
    "unsupported_feature",
]

SAMPLE_SIZE: Final = 10
_DOMAIN_WORDS: Final = {"llm": "an LLM", "embedding": "an embedding model"}


class WireError(Exception):
    """A failure that is told to the client as it stands."""

    def __init__(
        self,
        title: str,
        *,
        cause: str | None = None,
        suggestion: str | None = None,
        display: Mapping[str, Any] | None = None,
    ) -> None:
        cause = as_words(cause)
        between = " " if title.endswith((".", "!", "?", ":")) else ": "
        super().__init__(title if cause is None else f"{title}{between}{cause}")
        self.title = title
        self.cause = cause
        self.suggestion = suggestion
        self.display = display

    def to_wire(self) -> dict[str, Any]:
        """The error object of the protocol."""
        error: dict[str, Any] = {"title": self.title, "rootTitle": self.title}
        if self.cause is not None:
            error["cause"] = self.cause
        if self.suggestion is not None:
            error["suggestion"] = self.suggestion
        if self.display is not None:
            error["displayData"] = dict(self.display)
        return error


class ShuttingDownError(WireError):
    """The server takes no new work. The protocol has no code for this."""

    def __init__(self) -> None:
        super().__init__(
            "This server is shutting down.",
            suggestion="Start it again with `lmstudio server start`, or use another one.",
        )


def close_matches_text(matches: Sequence[str], otherwise: str) -> str:
    """A suggestion from close matches, or ``otherwise`` when there are none."""
    if not matches:
        return otherwise
    return "Did you mean " + " or ".join(f'"{match}"' for match in matches) + f"? {otherwise}"


def model_not_found(key: str, keys: Sequence[str], matches: Sequence[str]) -> WireError:
    """No model file has this key.

    Args:
        key: The key.
        keys: The keys that there are.
        matches: Those that are much like it.
    """
    listed = ", ".join(keys[:SAMPLE_SIZE]) or "none"
    return WireError(
        f'No model with the key "{key}" is downloaded.',
        cause=f"Models on this machine ({len(keys)}): {listed}.",
        suggestion=close_matches_text(
            matches, "`lmstudio ls` and `list_downloaded_models()` list all models."
        ),
        display={
            "code": "generic.pathNotFound",
            "path": key,
            "availablePathsSample": list(keys[:SAMPLE_SIZE]),
            "totalModels": len(keys),
        },
    )


def no_loaded_model(
    kind: str, query: Mapping[str, Any], loaded: Sequence[str], matches: Sequence[str] = ()
) -> WireError:
    """No loaded model of that kind (``"llm"`` or ``"embedding"``) answers the query.

    Args:
        kind: ``"llm"`` or ``"embedding"``.
        query: What was asked for.
        loaded: The identifiers of the loaded models.
        matches: Those that are much like it.
    """
    model = "model" if kind == "llm" else f"{kind} model"
    wanted = " and ".join(
        _asked_for(key, value) for key, value in query.items() if value is not None
    )
    listed = ", ".join(loaded[:SAMPLE_SIZE]) or "none"
    return WireError(
        f"No loaded {model} {wanted}." if wanted else f"No {model} is loaded.",
        cause=f"Loaded {model}s ({len(loaded)}): {listed}.",
        suggestion=close_matches_text(
            matches, f"Load one first, for example with `client.{kind}.model(key)`."
        ),
        display={
            "code": "generic.noModelMatchingQuery",
            "query": dict(query),
            "loadedModelsSample": list(loaded[:SAMPLE_SIZE]),
            "totalLoadedModels": len(loaded),
        },
    )


def _asked_for(key: str, value: object) -> str:
    if key == "vision":
        return "sees pictures" if value else "is blind to pictures"
    return f'has the {key} "{value}"'


def specific_model_unloaded(reference: str) -> WireError:
    """The instance a handle points at is gone."""
    return WireError(
        "The model instance of this handle is not loaded any more.",
        cause=f"Instance {reference} was unloaded, or its engine ended.",
        suggestion="Get a new handle, for example with `client.llm.model(key)`.",
        display={"code": "generic.specificModelUnloaded"},
    )


def domain_mismatch(key: str, actual: str, expected: str) -> WireError:
    """A model of one kind was asked for as the other.

    Args:
        key: The model's key.
        actual: Its kind.
        expected: The kind asked for.
    """
    return WireError(
        f'The model "{key}" is {_DOMAIN_WORDS[actual]}, not {_DOMAIN_WORDS[expected]}.',
        suggestion=f"Use it through `client.{actual}`, or choose another key.",
        display={
            "code": "generic.domainMismatch",
            "path": key,
            "actualDomain": actual,
            "expectedDomain": expected,
        },
    )


def identifier_in_use(identifier: str) -> WireError:
    """An instance with that identifier is loaded."""
    return WireError(
        f'A model with the identifier "{identifier}" already exists.',
        suggestion="Choose another identifier, leave it out, or unload the other model first.",
    )


def preset_not_found(preset: str) -> WireError:
    """This server keeps no presets."""
    return WireError(
        f'No preset matches "{preset}".',
        cause="lmstudio-server keeps no presets.",
        suggestion="Pass the settings in the config of the call, or use LM Studio.",
        display={
            "code": "generic.presetNotFound",
            "specifiedFuzzyPresetIdentifier": preset,
            "availablePresetsSample": [],
            "totalAvailablePresets": 0,
        },
    )


def not_offered(namespace: str, endpoint: str) -> WireError:
    """An endpoint of the protocol that this server does not have."""
    return WireError(
        f"{namespace}.{endpoint} is not offered by lmstudio-server {__version__}.",
        cause="lmstudio-server implements a part of LM Studio's API.",
        suggestion="Connect to LM Studio for this, for example with Client(api_host=...).",
    )


def unsupported_feature(feature: str, suggestion: str) -> WireError:
    """The engine cannot do this."""
    return WireError(
        f"{feature} is not supported by lmstudio-server {__version__}.",
        suggestion=suggestion,
        display={
            "code": "generic.engineDoesNotSupportFeature",
            "feature": feature,
            "engineName": "llama.cpp",
            "engineType": "gguf",
            "installedVersion": __version__,
            "supportedVersion": None,
        },
    )


def from_engine(error: EngineError, model: str) -> WireError:
    """An engine's failure, with the model it concerns."""
    suggestion = error.suggestion
    if suggestion is None and isinstance(error, EngineCrashedError):
        suggestion = "Load the model again; the server's log has the engine's last words."
    return WireError(f"{model}: {error.title}", cause=error.cause, suggestion=suggestion)


PASSING: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt)
"""What ends a task or the program; all else that a handler raises is its failure, also what is no
``Exception``, such as the panic of an engine's extension."""


def internal(endpoint: str, error: BaseException) -> WireError:
    """A mistake of this server; the details are in its log."""
    return WireError(
        f"lmstudio-server failed in {endpoint}.",
        cause=error_text(error, named=True),
        suggestion="The server's log has the details; please report them.",
    )
