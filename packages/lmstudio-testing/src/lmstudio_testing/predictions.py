"""What a program asked a model for, in words that a test uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lmstudio_core.config import stack_values
from lmstudio_core.lenient import as_list, as_mapping

__all__ = ["PREDICTIONS", "PredictionRequest", "model_of"]

PREDICTIONS: Final = ("llm.predict", "llm.completeRawText")
"""The endpoints that make predictions."""

_PREFIX: Final = "llm.prediction."


def model_of(specifier: Any) -> str | None:
    """The identifier (or reference) in a model specifier; ``None`` stands for any model."""
    given = as_mapping(specifier)
    found = given.get("instanceReference") or as_mapping(given.get("query")).get("identifier")
    return found if isinstance(found, str) else None


class PredictionRequest:  # public
    """One prediction that a program asked for.

    Attributes:
        endpoint: ``"llm.predict"`` (chats) or ``"llm.completeRawText"``.
        parameter: The request as it came, as plain data.
    """

    def __init__(self, request: Any) -> None:
        self.endpoint: str = request.endpoint
        self.parameter: Mapping[str, Any] = as_mapping(request.parameter)
        self._request = request

    @property
    def model(self) -> str | None:
        """The identifier of the model that was asked."""
        return model_of(self.parameter.get("modelSpecifier"))

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The chat: pairs of role and text. A tool call reads ``name({...})``."""
        history = as_list(as_mapping(self.parameter.get("history")).get("messages"))
        return [
            (
                str(as_mapping(message).get("role")),
                "".join(map(_shown, as_list(as_mapping(message).get("content")))),
            )
            for message in history
        ]

    @property
    def prompt(self) -> str:
        """The text to continue, or the text of the user's last message."""
        if "rawPrompt" in self.parameter:
            return str(self.parameter["rawPrompt"])
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @property
    def system_prompt(self) -> str | None:
        """The text of the first system prompt."""
        return next((text for role, text in self.messages if role == "system"), None)

    @property
    def tool_results(self) -> list[str]:
        """The results of tools that end the chat; empty before any tool ran."""
        history = as_list(as_mapping(self.parameter.get("history")).get("messages"))
        if not history or as_mapping(history[-1]).get("role") != "tool":
            return []
        return [_shown(part) for part in as_list(as_mapping(history[-1]).get("content"))]

    @property
    def config(self) -> dict[str, Any]:
        """The settings, by the server's names without their prefix: ``{"temperature": 0.5}``."""
        values = stack_values(self.parameter.get("predictionConfigStack"))
        return {key.removeprefix(_PREFIX): _plain(value) for key, value in values.items()}

    @property
    def tools(self) -> list[str]:
        """The names of the tools on offer."""
        offered = as_list(as_mapping(self.config.get("tools")).get("tools"))
        return [str(as_mapping(as_mapping(tool).get("function")).get("name")) for tool in offered]

    @property
    def json_schema(self) -> Any:
        """The schema that the output has to satisfy, or ``None``."""
        return as_mapping(self.config.get("structured")).get("jsonSchema")

    @property
    def preset(self) -> str | None:
        """The preset asked for."""
        return self.parameter.get("fuzzyPresetIdentifier")

    @property
    def cancelled(self) -> bool:
        """Whether the program asked the server to stop."""
        sent = as_list(list(getattr(self._request, "messages", ())))
        return any(as_mapping(message).get("type") == "cancel" for message in sent)

    def __repr__(self) -> str:
        return f"<PredictionRequest {self.endpoint} {self.model} {self.prompt[:60]!r}>"


def _shown(part: Any) -> str:
    given = as_mapping(part)
    match given.get("type"):
        case "text":
            return str(given.get("text"))
        case "toolCallRequest":
            call = as_mapping(given.get("toolCallRequest"))
            return f"{call.get('name')}({call.get('arguments')})"
        case "toolCallResult":
            return str(given.get("content"))
        case _:
            return f"[{given.get('fileType') or given.get('type')}: {given.get('name')}]"


def _plain(value: Any) -> Any:
    """A checkbox's value, ``False`` if it is not checked; all else as it is."""
    given = as_mapping(value)
    if set(given) == {"checked", "value"}:
        return given["value"] if given["checked"] else False
    return value
