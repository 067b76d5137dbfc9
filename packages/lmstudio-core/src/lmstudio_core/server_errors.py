"""What the server says of an error, and which exception it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from .data import ServerStruct
from .errors import (
    LMStudioModelDomainError,
    LMStudioModelNotFoundError,
    LMStudioPresetNotFoundError,
    LMStudioServerError,
)

__all__ = ["SerializedLMSExtendedError", "server_error"]

_UNKNOWN = "Unknown error"


class SerializedLMSExtendedError(ServerStruct):
    """An error as the server describes it: what happened, why, and what to do about it."""

    title: str = _UNKNOWN
    cause: str | None = None
    suggestion: str | None = None
    error_data: Mapping[str, Any] | None = None
    display_data: Mapping[str, Any] | None = None
    stack: str | None = Field(default=None, repr=False)
    root_title: str | None = None

    def __str__(self) -> str:
        return "\n".join(part for part in (self.title, self.cause, self.suggestion) if part)


_BY_CODE: Mapping[str, type[LMStudioServerError]] = {
    "generic.noModelMatchingQuery": LMStudioModelNotFoundError,
    "generic.pathNotFound": LMStudioModelNotFoundError,
    "generic.identifierNotFound": LMStudioModelNotFoundError,
    "generic.specificModelUnloaded": LMStudioModelNotFoundError,
    "generic.domainMismatch": LMStudioModelDomainError,
    "generic.presetNotFound": LMStudioPresetNotFoundError,
}


def _sample(title: str, names: Any, total: Any) -> str | None:
    """One line listing the names that the server offers instead, or ``None``."""
    if not isinstance(names, list) or not names:
        return None
    shown = [n["identifier"] if isinstance(n, Mapping) else str(n) for n in names[:10]]
    more = total - len(shown) if isinstance(total, int) and total > len(shown) else 0
    return f"{title}: {', '.join(shown)}" + (f" and {more} more" if more else "")


def _details(data: Mapping[str, Any]) -> list[str]:
    lines = (
        _sample("Downloaded models", data.get("availablePathsSample"), data.get("totalModels")),
        _sample("Loaded models", data.get("loadedModelsSample"), data.get("totalLoadedModels")),
        _sample(
            "Presets", data.get("availablePresetsSample"), data.get("totalAvailablePresets")
        ),
    )
    return [line for line in lines if line]


def server_error(raw: Any, endpoint: str, *, default: type[LMStudioServerError]) -> LMStudioServerError:
    """The exception for an error packet.

    Args:
        raw: The packet's ``error``; anything but an object counts as an error without words.
        endpoint: What was asked, for the exception's field.
        default: The class for errors without a known ``displayData.code``.
    """
    details = SerializedLMSExtendedError.from_dict(raw if isinstance(raw, Mapping) else {})
    data: Mapping[str, Any] = details.display_data or {}
    code = data.get("code")
    cls = _BY_CODE.get(code, default) if isinstance(code, str) else default
    message = "\n".join([str(details), *_details(data)])
    return cls(message, details, endpoint=endpoint)
