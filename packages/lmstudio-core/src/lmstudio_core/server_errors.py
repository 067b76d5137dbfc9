"""What the server says of an error, and which exception it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from .data import ServerStruct
from .errors import (
    LMStudioModelDomainError,
    LMStudioModelNotFoundError,
    LMStudioPresetNotFoundError,
    LMStudioServerError,
)
from .shapes import as_list, as_mapping, is_mapping

__all__ = ["SerializedLMSExtendedError", "described", "error_class", "server_error"]

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


_SAMPLES: Sequence[tuple[str, str, str]] = (
    ("Downloaded models", "availablePathsSample", "totalModels"),
    ("Loaded models", "loadedModelsSample", "totalLoadedModels"),
    ("Presets", "availablePresetsSample", "totalAvailablePresets"),
)


def _name(entry: Any) -> str:
    return str(entry.get("identifier") or entry.get("name") if is_mapping(entry) else entry)


def _samples(data: Mapping[str, Any], said: str) -> Iterator[str]:
    """Lines listing the names that the server offers instead, unless it ``said`` them itself."""
    for title, key, total_key in _SAMPLES:
        names, total = as_list(data.get(key)), data.get(total_key)
        shown = [_name(entry) for entry in names[:10]]
        if all(name in said for name in shown):
            continue
        more = total - len(shown) if isinstance(total, int) and total > len(shown) else 0
        yield f"{title}: {', '.join(shown)}" + (f" and {more} more" if more else "")


def described(raw: Mapping[str, Any]) -> tuple[SerializedLMSExtendedError, str]:
    """The details that a server sends, and all of them as text."""
    details = SerializedLMSExtendedError.from_dict(raw)
    return details, "\n".join(
        [str(details), *_data("Details", details.error_data), *_data("Data", details.display_data)]
    )


def _data(name: str, data: Mapping[str, Any] | None) -> Iterator[str]:
    if data:
        yield f"{name}: {json.dumps(data, default=str)}"


def error_class(
    raw: Mapping[str, Any], default: type[LMStudioServerError]
) -> type[LMStudioServerError]:
    """The class that the code in an error's display data names, or ``default``."""
    code = as_mapping(raw.get("displayData")).get("code")
    return _BY_CODE.get(code, default) if isinstance(code, str) else default


def server_error(
    raw: Any, endpoint: str, *, default: type[LMStudioServerError]
) -> LMStudioServerError:
    """The exception for an error packet.

    Args:
        raw: The packet's ``error``; anything but an object counts as an error without words.
        endpoint: What was asked, for the exception's field.
        default: The class for errors without a known ``displayData.code``.
    """
    details = SerializedLMSExtendedError.from_dict(as_mapping(raw))
    data: Mapping[str, Any] = details.display_data or {}
    cls = error_class(as_mapping(raw), default)
    said = str(details)
    message = "\n".join([said, *_samples(data, said), *_data("Details", details.error_data)])
    return cls(message, details, endpoint=endpoint)
