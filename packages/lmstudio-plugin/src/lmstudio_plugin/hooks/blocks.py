"""What a plugin puts on the screen: statuses, content, tool calls. Pure but for ``put``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from lmstudio_core.errors import LMStudioValueError

from .common import StatusBlockController, StatusStepStatus

__all__ = ["ContentBlock", "Put", "StatusBlock", "ToolStatus", "told"]

Put = Callable[[Mapping[str, Any]], None]
Role = Literal["user", "assistant", "system", "tool"]


def told(**values: Any) -> dict[str, Any]:
    """The values that are given, under their camelCase names."""
    named = {_camel(name): value for name, value in values.items()}
    return {name: value for name, value in named.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class StatusBlock(StatusBlockController):
    """A status with others below it."""

    def __init__(
        self,
        block_id: str,
        put: Put,
        new_id: Callable[[], str],
        status: StatusStepStatus,
        text: str,
        indentation: int = 0,
    ) -> None:
        async def update(_: str, status: StatusStepStatus, text: str) -> None:
            self.set(status, text)

        super().__init__(block_id, update)
        self._put, self._new_id = put, new_id
        self._status: StatusStepStatus = status
        self._text = text
        self._indentation = indentation
        self._last = self

    def set(self, status: StatusStepStatus | None = None, text: str | None = None) -> None:
        """Change the state, the text, or both."""
        self._status, self._text = status or self._status, self._text if text is None else text
        state = {"status": self._status, "text": self._text}
        self._put({"type": "status.update", "id": self._id, "state": state})

    def add(self, text: str, status: StatusStepStatus = "waiting") -> StatusBlock:
        """A status below this one, after those that are there."""
        last = self
        while last._last is not last:
            last = last._last
        made = StatusBlock(
            self._new_id(), self._put, self._new_id, status, text, self._indentation + 1
        )
        self._put(
            {
                "type": "status.create",
                "id": made._id,
                "state": {"status": status, "text": text},
                "location": {"type": "afterId", "id": last._id},  # noqa: SLF001
                "indentation": made._indentation,
            }
        )
        self._last = made
        return made

    def remove(self) -> None:
        """Take it away."""
        self._put({"type": "status.remove", "id": self._id})


class ContentBlock:
    """A message in the making."""

    def __init__(self, block_id: str, put: Put, role: Role) -> None:
        self._id, self._put, self._role = block_id, put, role

    def append(
        self,
        text: str,
        *,
        tokens: int | None = None,
        from_draft_model: bool | None = None,
        structural: bool | None = None,
    ) -> None:
        """Add text."""
        self._not("tool", "text")
        more = told(
            tokens_count=tokens, from_draft_model=from_draft_model, is_structural=structural
        )
        self._send("appendText", text=text, **more)

    def replace(self, text: str) -> None:
        """Put a text in the place of what is there."""
        self._not("tool", "text")
        self._send("replaceText", text=text)

    def append_tool_request(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        request_id: str | None = None,
        plugin_identifier: str | None = None,
    ) -> None:
        """Add the request of a tool call."""
        self._tool_request(
            "appendToolRequest", call_id, name, parameters, request_id, plugin_identifier
        )

    def replace_tool_request(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        request_id: str | None = None,
        plugin_identifier: str | None = None,
    ) -> None:
        """Change the request of a tool call, as when the user has edited its arguments."""
        self._tool_request(
            "replaceToolRequest", call_id, name, parameters, request_id, plugin_identifier
        )

    def append_tool_result(
        self, call_id: int, content: str, *, name: str | None = None, request_id: str | None = None
    ) -> None:
        """Add the result of a tool call; to a block of the role ``"tool"``."""
        if self._role != "tool":
            raise LMStudioValueError(f"A tool's result goes into a tool block, not {self._role}.")
        more = told(tool_call_request_id=request_id, name=name)
        self._send("appendToolResult", callId=call_id, content=content, **more)

    def set_style(self, style: Mapping[str, Any]) -> None:
        """How it looks: ``{"type": "thinking", "title": …}`` or ``{"type": "customLabel", …}``."""
        self._send("setStyle", style=dict(style))

    def set_prefix(self, prefix: str) -> None:
        """The text before it, for the model alone."""
        self._send("setPrefix", prefix=prefix)

    def set_suffix(self, suffix: str) -> None:
        """The text after it, for the model alone."""
        self._send("setSuffix", suffix=suffix)

    def attach_info(self, info: Mapping[str, Any]) -> None:
        """How it was made: ``indexedModelIdentifier``, ``identifier``, configs, ``stats``."""
        self._send("attachGenInfo", genInfo=dict(info))

    async def pipe_from(self, stream: Any) -> Any:
        """Show what a stream gives as it comes; returns its result.

        Args:
            stream: What ``respond_stream`` gives, of a model or a generator.
        """
        async for fragment in stream:
            content = getattr(fragment, "content", None)
            if content:
                self.append(content)
        result = stream.result()
        if hasattr(result, "__await__"):
            result = await result
        info = _generation_info(result)
        if info:
            self.attach_info(info)
        return result

    def _tool_request(
        self,
        kind: str,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        request_id: str | None,
        plugin_identifier: str | None,
    ) -> None:
        if self._role != "assistant":
            raise LMStudioValueError(
                f"A tool's request goes into an assistant block, not {self._role}."
            )
        more = told(tool_call_request_id=request_id, plugin_identifier=plugin_identifier)
        self._send(kind, callId=call_id, name=name, parameters=dict(parameters), **more)

    def _not(self, role: Role, what: str) -> None:
        if self._role == role:
            raise LMStudioValueError(f"A block of the role {role!r} takes no {what}.")

    def _send(self, kind: str, **more: Any) -> None:
        self._put({"type": f"contentBlock.{kind}", "id": self._id, **more})


def _generation_info(result: Any) -> dict[str, Any]:
    """What the app shows below a message; a generator's results know nothing of it."""
    model = getattr(result, "model_info", None)
    if model is None:
        return {}
    return {
        "indexedModelIdentifier": model.path,
        "identifier": model.identifier,
        "loadModelConfig": _kv(result.load_config),
        "predictionConfig": _kv(result.prediction_config),
        "stats": result.stats.to_dict(),
    }


def _kv(config: Any) -> dict[str, Any]:
    fields = [{"key": key, "value": value} for key, value in config.to_kv().items()]
    return {"fields": fields}


class ToolStatus:
    """What users see of a tool call."""

    def __init__(self, block_id: str, put: Put, status: Mapping[str, Any]) -> None:
        self.block_id: str = block_id
        self._id = block_id
        self._put = put
        self._status = status
        self._text = ""
        self._warnings: list[str] = []

    def set(self, status: Mapping[str, Any]) -> None:
        """Change it: ``{"type": "callingTool"}``, ``{"type": "toolCallFailed", "error": …}`` and so on."""
        self._status = dict(status)
        self._update()

    def set_text(self, text: str) -> None:
        """What the tool says it is doing."""
        self._text = text
        self._update()

    def add_warning(self, text: str) -> None:
        """What the tool warns of."""
        self._warnings.append(text)
        self._update()

    def append_arguments(self, content: str) -> None:
        """A piece of the arguments, while the model writes them."""
        self._put({"type": "toolStatus.argumentFragment", "id": self._id, "content": content})

    @property
    def state(self) -> dict[str, Any]:
        """All of it, as it is sent."""
        warnings = list(self._warnings)
        return {"status": self._status, "customStatus": self._text, "customWarnings": warnings}

    def _update(self) -> None:
        self._put({"type": "toolStatus.update", "id": self._id, "state": self.state})
