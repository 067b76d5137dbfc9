"""The ``llm`` namespace: chat, raw completion, templates, and all that loading needs."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.convert.history import joined_text, to_messages
from lmstudio_server.convert.packets import PredictionFold
from lmstudio_server.convert.tools import ToolNames
from lmstudio_server.engines.base import ChatRequest, CompletionRequest, DraftingModel, FramingModel
from lmstudio_server.errors import preset_not_found, unsupported_feature
from lmstudio_server.kv.drafts import prediction_draft
from lmstudio_server.kv.prediction import (
    PredictionSettings,
    effective_prediction_config,
    prediction_settings,
)
from lmstudio_server.kv.stack import fields
from lmstudio_server.kv.templates import is_plain_concatenation

from . import parameters as p
from .drafts import find_draft, take_settings
from .endpoint import ABSENT
from .files import read_documents
from .models import client_config, model_endpoints, require_model, resolve, run_engine
from .prediction import Prediction, Request

if TYPE_CHECKING:
    from lmstudio_server.registry import Instance

    from .endpoint import Call, Channel

__all__ = ["namespace"]

_log = logging.getLogger(__name__)

namespace: Final = model_endpoints("llm")


class _Plan:
    """A prediction's configuration, read once."""

    def __init__(self, call: Call, instance: Instance, stack: p.KVStack) -> None:
        client = take_settings(client_config(stack))
        self.call = call
        self.instance = instance
        self.config = effective_prediction_config(
            {**instance.file.prediction_defaults, **client}, instance.key
        )
        self.settings: PredictionSettings = prediction_settings(
            self.config, client=client, load_config=instance.load_config
        )
        names = [tool["function"]["name"] for tool in self.settings.tools]
        self.names = ToolNames(names, self.settings.tool_naming)

    def chat(self, history: p.History) -> ChatRequest:
        settings = self.settings
        messages = to_messages(
            history,
            names=self.names,
            find_file=partial(self.call.services.files.find, self.call.client),
            system_prompt=settings.system_prompt,
            vision=self.instance.file.vision,
            model=f'The model "{self.instance.identifier}"',
        )
        return ChatRequest(
            messages=messages,
            sampling=settings.sampling,
            tools=self.names.tools_for_model(settings.tools),
            tool_choice=settings.tool_choice,
            parallel_tool_calls=settings.parallel_tool_calls,
            enable_thinking=settings.enable_thinking,
            chat_template=None if settings.template is None else settings.template.jinja,
            reasoning_budget=settings.reasoning_budget,
        )

    def request(self, history: p.History) -> Request:
        template = self.settings.template
        if template is not None and is_plain_concatenation(template.jinja):
            return CompletionRequest(joined_text(history), self.settings.sampling)
        return self.chat(history)

    def fold(self, started: float) -> PredictionFold:
        return PredictionFold(
            started,
            names=self.names,
            tool_stop_strings=self.settings.tool_stop_strings,
            parse_reasoning=self.settings.parse_reasoning,
        )

    async def run(self, channel: Channel, request: Request) -> None:
        draft = await find_draft(channel, self.settings.draft, require_model)
        if draft is not None:
            _drafting(self.instance)
        await Prediction(
            channel,
            self.instance,
            replace(request, draft=draft),
            self.config,
            self.settings.overflow,
            self.fold,
            self.settings.reasoning_tags,
        ).run()


@namespace.channel("predict", p.Predict)
async def predict(channel: Channel, parameter: p.Predict) -> None:
    """Continue a chat."""
    plan = _plan(channel, parameter)
    await read_documents(channel, parameter.history)
    await plan.run(channel, plan.request(parameter.history))


@namespace.channel("completeRawText", p.CompleteRawText)
async def complete_raw_text(channel: Channel, parameter: p.CompleteRawText) -> None:
    """Continue a text."""
    plan = _plan(channel, parameter)
    request = CompletionRequest(parameter.raw_prompt, plan.settings.sampling)
    await plan.run(channel, request)


def _plan(call: Call, parameter: p.Predict | p.CompleteRawText) -> _Plan:
    if parameter.fuzzy_preset_identifier is not None:
        raise preset_not_found(parameter.fuzzy_preset_identifier)
    instance = resolve(call, parameter.model_specifier)
    return _Plan(call, instance, parameter.prediction_config_stack)


@namespace.rpc("applyPromptTemplate", p.ApplyTemplate)
async def apply_prompt_template(call: Call, parameter: p.ApplyTemplate) -> Any:
    """The text that a chat becomes, through the model's own template."""
    instance = resolve(call, parameter.specifier)
    plan = _Plan(call, instance, parameter.prediction_config_stack)
    template = plan.settings.template
    if template is not None and is_plain_concatenation(template.jinja):
        return {"formatted": joined_text(parameter.history)}
    await read_documents(call, parameter.history)
    request = plan.chat(parameter.history)
    definitions = parameter.opts.tool_definitions
    if definitions is not None:
        tools = [tool.model_dump(by_alias=True, exclude_none=True) for tool in definitions]
        request = ChatRequest(
            messages=request.messages,
            tools=tools,
            tool_choice=request.tool_choice,
            enable_thinking=request.enable_thinking,
            chat_template=request.chat_template,
        )
    model = instance.model
    formatted = await run_engine(call, instance, model.apply_template(request))
    if isinstance(model, FramingModel):
        start, end = not parameter.opts.omit_bos_token, not parameter.opts.omit_eos_token
        formatted = await run_engine(call, instance, model.framed(formatted, start=start, end=end))
    return {"formatted": formatted}


@namespace.rpc("getBasePredictionConfig", p.GetBaseConfig)
async def get_base_prediction_config(call: Call, parameter: p.GetBaseConfig) -> Any:
    """What holds for a prediction whose caller configures nothing."""
    instance = resolve(call, parameter.specifier)
    return fields(effective_prediction_config(instance.file.prediction_defaults, instance.key))


@namespace.rpc("preloadDraftModel", p.PreloadDraft)
async def preload_draft_model(call: Call, parameter: p.PreloadDraft) -> Any:
    """Load a draft model, so that the first prediction with it need not wait."""
    instance = resolve(call, parameter.specifier)
    model = _drafting(instance)
    wish = prediction_draft({}, parameter.draft_model_key)
    draft = await find_draft(call, wish, require_model)
    if draft is not None:
        await run_engine(call, instance, model.preload_draft(draft))
    return ABSENT


def _drafting(instance: Instance) -> DraftingModel:
    """The model of an instance whose engine takes draft models."""
    if not isinstance(instance.model, DraftingModel):
        raise unsupported_feature(
            f'Speculative decoding with the engine of "{instance.identifier}"',
            "Leave the draft model out; answers stay the same.",
        )
    return instance.model
