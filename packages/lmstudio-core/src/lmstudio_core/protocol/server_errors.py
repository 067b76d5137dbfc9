"""What the server says of an error, and which exception it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from typing_extensions import Self

from ..data import ServerStruct
from ..errors import (
    LMStudioModelDomainError,
    LMStudioModelNotFoundError,
    LMStudioPresetNotFoundError,
    LMStudioServerError,
    with_endpoint,
)
from ..lenient import as_list, as_mapping, is_blank, is_mapping, readable

__all__ = ["SerializedLMSExtendedError", "described", "error_class", "server_error"]

_UNKNOWN: Final = "Unknown error"


def _said(text: str) -> str:
    """Blank text is no text: the field falls back as if it were absent."""
    if is_blank(text):
        raise ValueError("blank")
    return text


_Words = Annotated[str, AfterValidator(_said)]


class SerializedLMSExtendedError(ServerStruct):  # public, api
    """An error as the server describes it: what happened, why, and what to do about it.

    Example:
        >>> try:
        ...     client.llm.model("no-such-model")
        ... except LMStudioServerError as error:
        ...     print(type(error.server_error).__name__)
        SerializedLMSExtendedError
    """

    title: _Words = _UNKNOWN
    cause: _Words | None = None
    suggestion: _Words | None = None
    error_data: Mapping[str, Any] | None = None
    display_data: Mapping[str, Any] | None = None
    stack: str | None = Field(default=None, repr=False)
    root_title: _Words | None = None

    @classmethod
    def read(cls, raw: Any) -> Self:
        """An error as it came: an object, or text, which is its title; all else says nothing.

        Args:
            raw: What the server sent as an error.

        Returns:
            The error.
        """
        return cls.from_dict({"title": raw} if isinstance(raw, str) else as_mapping(raw))

    def __str__(self) -> str:
        title = (self.root_title or _UNKNOWN) if self.title == _UNKNOWN else self.title
        return "\n".join(part for part in (title, self.cause, self.suggestion) if part)


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
) -> LMStudioServerError:  # api
    """The exception for an error packet.

    Args:
        raw: The packet's ``error``; anything but an object or text counts as an error without words.
        endpoint: What was asked, for the exception's field and the last line of its message.
        default: The class for errors without a known ``displayData.code``.
    """
    details = SerializedLMSExtendedError.read(raw)
    data: Mapping[str, Any] = details.display_data or {}
    cls = error_class(as_mapping(raw), default)
    said = str(details)
    lines = [said, *_samples(data, said), *_data("Details", details.error_data)]
    message = readable("\n".join(lines))
    return cls(with_endpoint(message, endpoint), details, endpoint=endpoint)
