"""One prediction, as those who watch the server's log are told of it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import (
    CompletionRequest,
    EngineError,
    Text,
    ToolCallEnd,
    ToolCallFailed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.engines.base import ChatRequest, EngineEvent
    from lmstudio_server.logs import Logs
    from lmstudio_server.registry import Instance

__all__ = ["Transcript"]

_log = logging.getLogger(__name__)


class Transcript:
    """Collects what a model reads and writes, if somebody watches when it begins."""

    def __init__(self, logs: Logs, instance: Instance) -> None:
        self._logs = logs
        self._instance = instance
        self._watched = logs.listening
        self._output: list[str] = []

    async def begin(self, request: ChatRequest | CompletionRequest) -> None:
        """Tell the prompt as the model gets it."""
        self._output.clear()
        if not self._watched:
            return
        self._logs.tell(
            {
                "type": "llm.prediction.input",
                "input": await self._prompt(request),
                "modelPath": self._instance.file.path,
                "modelIdentifier": self._instance.identifier,
            }
        )

    async def _prompt(self, request: ChatRequest | CompletionRequest) -> str:
        if isinstance(request, CompletionRequest):
            return request.prompt
        try:
            return await self._instance.model.apply_template(request)
        except EngineError as error:
            # The prediction will fail for the same reason, and tell it.
            _log.debug("no prompt for the log: %s", error)
            return json.dumps(list(request.messages), ensure_ascii=False)

    def feed(self, event: EngineEvent) -> None:
        """Take in what the model writes."""
        if not self._watched:
            return
        if isinstance(event, Text):
            self._output.append(event.content)
        elif isinstance(event, (ToolCallEnd, ToolCallFailed)) and event.raw is not None:
            self._output.append(event.raw)
        elif isinstance(event, ToolCallEnd):
            call = {"name": event.name, "arguments": event.arguments}
            self._output.append(json.dumps(call, ensure_ascii=False))

    def end(self, stats: Mapping[str, Any]) -> None:
        """Tell all that the model wrote."""
        if self._watched:
            self._logs.tell(
                {
                    "type": "llm.prediction.output",
                    "output": "".join(self._output),
                    "stats": dict(stats),
                    "modelIdentifier": self._instance.identifier,
                }
            )
