"""What the facades run: an act with its predictions made by a model of the server."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_core.files.operations import prepare_image
from lmstudio_core.models.operations import specifier_of
from lmstudio_core.protocol.operations import Channel, Op
from lmstudio_llm.chat import Chat, ChatInput, history_data
from lmstudio_llm.config import LlmPredictionConfig
from lmstudio_llm.operations import ConfigInput, respond
from lmstudio_llm.prediction import PredictionCallbacks
from lmstudio_llm.results import PredictionResult
from lmstudio_llm.schemas import resolve_format
from lmstudio_llm.sources import source_of
from lmstudio_llm.tools import Tool
from lmstudio_llm.vision import check_vision, has_images
from lmstudio_llm.written import WrittenChat

from .encoding import ImageInput
from .events import ActOp
from .loop import act
from .offer import ready_tools
from .options import ActKeywords, ActOptions
from .results import ActResult
from .state import Run
from .toolsets import ToolInput, Toolset, toolsets_of

__all__ = ["ModelPredictor", "ready_tools", "start"]


logger: Final = logging.getLogger("lmstudio")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How each prediction of a run is made.

    Attributes:
        config: Settings of every prediction.
        preset: The name of a preset of the server's.
        response_format: What the final answer has to be.
    """

    config: LlmPredictionConfig
    preset: str | None = None
    response_format: Any = None


def start(
    model: Any,
    chat: ChatInput,
    tools: Iterable[ToolInput],
    keywords: ActKeywords,
    *,
    toolsets: Iterable[Toolset | str] = (),
    response_format: Any = None,
    config: ConfigInput = None,
    preset: str | None = None,
    client: Any = None,
) -> tuple[Run, ActOp[ActResult[Any]]]:
    """An act of a loaded model (its handle or identifier): what it gathers, and the operation.

    ``client`` is for the toolsets that need one.

    Raises:
        LMStudioValueError: The chat, a tool, the format or the config cannot be right.
    """
    options = ActOptions(**keywords, run_id=uuid.uuid4().hex)
    settings = Settings(
        config=LlmPredictionConfig.parse(config), preset=preset, response_format=response_format
    )
    single, sets = toolsets_of(tools, toolsets)
    history = Chat.from_history(chat)
    run = Run(history, ready_tools(single), options, structured=response_format is not None)
    if not sets:
        options.check_tools(run.tools)
    predict = ModelPredictor(model, settings, options)
    plain = history_data(history)  # so that mistakes show here, not when the first round begins
    if response_format is not None:
        resolve_format(response_format)
    op = _with_toolsets(run, predict, sets, client) if sets else act(predict, run)
    source = source_of(model)
    checked = has_images(plain) and (source is None or source.is_model)
    return run, _seen(model, op) if checked else op


def _seen(model: Any, op: ActOp[ActResult[Any]]) -> ActOp[ActResult[Any]]:
    """The act, once it is known that the model can see the images in its chat."""
    yield from check_vision(specifier_of(model))
    return (yield from op)


def _with_toolsets(
    run: Run, predict: ModelPredictor, toolsets: Sequence[Toolset], client: Any
) -> ActOp[ActResult[Any]]:
    """The act, with the toolsets open that were not open before."""
    opened: list[Toolset] = []
    try:
        for given in toolsets:
            toolset = given
            if not given.is_open:
                toolset = given.for_run(client)
                opened.append(toolset)
                yield toolset.opening()
            run.offer.add(toolset)
        run.options.check_tools(run.tools)
        result = yield from act(predict, run)
    except GeneratorExit:  # nothing may be yielded any more
        for toolset in reversed(opened):
            toolset.close()
        raise
    except BaseException:
        yield from _closed(opened)
        raise
    yield from _closed(opened)
    return result


def _closed(toolsets: Sequence[Toolset]) -> ActOp[None]:
    for toolset in reversed(toolsets):
        try:
            yield toolset.closing()
        except Exception:
            logger.exception("the toolset %r could not be closed", toolset.name)


class ModelPredictor:
    """Makes the prediction of each round by a loaded model of the server.

    Args:
        model: The loaded model: its handle or identifier.
        settings: How predictions are made.
        options: The callbacks of the run.
    """

    def __init__(self, model: Any, settings: Settings, options: ActOptions) -> None:
        self.identifier: str = getattr(model, "identifier", model)
        self._model = model
        self._settings = settings
        self._options = options
        # Only callbacks are given messages of the run's own chat.
        self._written = WrittenChat(private=options.on_message is None)
        if settings.response_format is not None and settings.config.structured is not None:
            raise LMStudioValueError(
                "Both response_format and the config's 'structured' say what the output has to "
                "be; give response_format alone, which applies to the final answer."
            )

    def __call__(
        self, chat: Chat, round_index: int, tools: Sequence[Tool], *, structured: bool = False
    ) -> Channel[Any, PredictionResult[Any]]:
        """The prediction of a round: the chat so far, and the tools that the model may call in it."""
        settings = self._settings
        forced = not tools and settings.config.tool_choice is not None
        prediction = respond(
            self._model,
            chat,
            response_format=settings.response_format if structured else None,
            config=settings.config,
            preset=settings.preset,
            tools=tools,
            tool_choice="auto" if forced else None,  # there is nothing left to be chosen
            callbacks=self._callbacks(round_index),
            written=self._written.of(chat),
        )
        return prediction.channel

    def upload(self, image: ImageInput) -> Op[FileHandle]:
        """Send an image to the server."""
        if isinstance(image, FileHandle):
            return image
        return (yield from prepare_image(image.source, image.name))

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
