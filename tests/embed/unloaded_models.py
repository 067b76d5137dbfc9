"""A model that is unloaded while it embeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmstudio_testing import ServerFailure

_GONE: dict[str, Any] = {
    "code": "generic.noModelMatchingQuery",
    "loadedModelsSample": [],
    "totalLoadedModels": 0,
}


def unloaded_at(
    text: str, answer: Callable[[dict[str, Any]], Any]
) -> Callable[[dict[str, Any]], Any]:
    """What a server says: ``answer``, but at ``text`` that the model is not loaded any more."""

    def reply(parameter: dict[str, Any]) -> Any:
        if parameter["inputString"] == text:
            raise ServerFailure("It was unloaded", displayData=_GONE)
        return answer(parameter)

    return reply
