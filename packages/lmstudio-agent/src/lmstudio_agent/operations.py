"""What the facades run: an act with its predictions made by a model of the server."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.protocol.operations import Channel, Op
from lmstudio_llm.chat import Chat, ChatInput
from lmstudio_llm.config import LlmPredictionConfig
from lmstudio_llm.operations import ConfigInput, respond
from lmstudio_llm.prediction import PredictionCallbacks
from lmstudio_llm.results import PredictionResult
from lmstudio_llm.tools import Tool, ToolDefinition, resolve_tools

from .context import taking_context
from .loop import act
from .options import ActOptions
from .results import ActResult

__all__ = ["ModelPredictor", "act_op", "ready_tools"]


def act_op(
    identifier: str,
    chat: ChatInput,
    tools: Iterable[ToolDefinition],
    options: ActOptions,
    *,
    config: ConfigInput = None,
    preset: str | None = None,
) -> Op[ActResult]:
    """An act of the loaded model of that identifier.

    Raises:
        LMStudioValueError: The chat, a tool or the config cannot be right.
    """
    settings = LlmPredictionConfig.parse(config)
    predict = ModelPredictor(identifier, settings, preset, options)
    options = replace(options, run_id=options.run_id or uuid.uuid4().hex)
    return act(predict, Chat.from_history(chat), ready_tools(tools), options)


def ready_tools(tools: Iterable[ToolDefinition | Tool]) -> list[Tool]:
    """The tools made ready to be offered and called.

    Raises:
        LMStudioValueError: One is no tool, or two have the same name.
    """
    given: Any = tools
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        kind = type(cast("object", given)).__name__
        raise LMStudioValueError(f"tools is a list of tools, not {kind}.")
    taking = [taking_context(tool) for tool in cast("Iterable[ToolDefinition | Tool]", given)]
    return resolve_tools(cast("list[ToolDefinition]", taking))


class ModelPredictor:
    """Makes the prediction of each round by a loaded model of the server.

    Args:
        identifier: The loaded model.
        config: Settings of every prediction.
        preset: The name of a preset of the server's.
        options: The callbacks of the run.
    """

    def __init__(
        self,
        identifier: str,
        config: LlmPredictionConfig,
        preset: str | None,
        options: ActOptions,
    ) -> None:
        self._identifier = identifier
        self._config = config
        self._preset = preset
        self._options = options

    def __call__(
        self, chat: Chat, round_index: int, tools: Sequence[Tool]
    ) -> Channel[Any, PredictionResult[Any]]:
        forced = not tools and self._config.tool_choice is not None
        prediction = respond(
            self._identifier,
            chat,
            config=self._config,
            preset=self._preset,
            tools=tools,
            tool_choice="auto" if forced else None,  # there is nothing left to be chosen
            callbacks=self._callbacks(round_index),
        )
        return prediction.channel

    def _callbacks(self, index: int) -> PredictionCallbacks:
        """The callbacks of the run, told the round as their last argument."""
        options = self._options
        first, fragment = options.on_first_token, options.on_prediction_fragment
        progress = options.on_prompt_processing_progress
        return PredictionCallbacks(
            on_first_token=first and partial(first, index),
            on_prediction_fragment=fragment and (lambda given: fragment(given, index)),
            on_prompt_processing_progress=progress and (lambda ratio: progress(ratio, index)),
        )
