"""What the facades run: predictions, completions, prompt templates, as operations without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from lmstudio_core.config import config_stack
from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import as_text
from lmstudio_core.models.operations import count_tokens, get_context_length, specifier_of
from lmstudio_core.protocol.frames import Prepared
from lmstudio_core.protocol.operations import Call, Endpoint, Op

from .attempts import Prediction, check_retries, corrected
from .chat import ChatInput, history_data
from .config import LlmPredictionConfig
from .kind import LLM_KIND
from .prediction import PredictionCallbacks, PredictionChannel
from .reasoning import reasoning_tags
from .results import ContextUsage
from .schemas import OutputFormat, resolve_format, setting_format
from .sources import source_of
from .tools import Tool, ToolDefinition, resolve_tools, tools_setting
from .vision import has_images
from .written import WrittenHistory

__all__ = [
    "ConfigInput",
    "ServerSupport",
    "ToolChoice",
    "apply_prompt_template",
    "complete",
    "context_usage",
    "respond",
    "support_of",
]

ConfigInput = LlmPredictionConfig | Mapping[str, Any] | None
ToolChoice = Literal["none", "auto", "required"]

_RAW_TEXT_TEMPLATE: Final[Mapping[str, Any]] = {
    "llm.prediction.promptTemplate": {
        "type": "jinja",
        "jinjaPromptTemplate": {
            "template": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
            # Servers that need this way at all are old enough to insist on these three.
            "bosToken": "",
            "eosToken": "",
            "inputConfig": {
                "messagesConfig": {"contentConfig": {"type": "string"}},
                "useTools": False,
            },
        },
        "stopStrings": [],
    }
}


@dataclass
class ServerSupport:
    """What was learned about the server of one client."""

    raw_completion: bool = True


_support: WeakKeyDictionary[Any, ServerSupport] = WeakKeyDictionary()


def support_of(client: Any) -> ServerSupport:
    """What was learned so far through that client; shared by all its models."""
    return _support.setdefault(client, ServerSupport())


def respond(
    model: Any,
    history: ChatInput,
    *,
    response_format: Any = None,
    config: ConfigInput = None,
    preset: str | None = None,
    tools: Iterable[ToolDefinition | Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    retries: int = 0,
    strict: bool = False,
    callbacks: PredictionCallbacks | None = None,
    written: WrittenHistory | None = None,
) -> Prediction[Any]:
    """The next response in a chat.

    Args:
        model: The loaded model: its identifier, handle or specifier.
        history: The chat so far.
        response_format: What the output has to be.
        config: Settings.
        preset: The name of a preset of the server's.
        tools: What the model may call; an empty list tells it that there is nothing.
        tool_choice: Whether it may, must or must not call one.
        retries: How often to ask again if the output is not in its format.
        strict: Whether output that is not is an error at once.
        callbacks: Whom to tell what happens.
        written: The wire form of ``history``, if the caller has it, and knows that the model can
            see what images there are in it.

    Raises:
        LMStudioValueError: One of the arguments cannot be right.
    """
    settings, output_format = _settings(config, response_format)
    values = settings.to_kv()
    resolved = [] if tools is None else resolve_tools(tools)
    if tools is not None:
        values["llm.prediction.tools"] = tools_setting(resolved)
    if tool_choice is not None:
        choice = LlmPredictionConfig.parse({"toolChoice": tool_choice})
        values.update(choice.to_kv())
    check_retries(retries, structured=output_format is not None)
    specifier = specifier_of(model)
    source = source_of(model)
    given = history_data(history) if written is None else written

    def channel(messages: Mapping[str, Any]) -> PredictionChannel[Any]:
        parameter: dict[str, Any] = {
            "modelSpecifier": specifier,
            "history": messages,
            "predictionConfigStack": config_stack(("apiOverride", values)),
            **_preset(preset),
        }
        if isinstance(messages, WrittenHistory):
            parameter = Prepared(parameter, "history", messages.text)
        tags = reasoning_tags(values)
        made = PredictionChannel[Any]("predict", parameter, output_format, callbacks, tags)
        if source is not None:
            made.endpoint, made.parameter = source.request(made.endpoint, parameter)
        made.continues = given["messages"][-1]["role"] == "assistant"
        made.validates |= any(tool.checked_by_schema for tool in resolved)
        return made

    return Prediction[Any](
        channel(given),
        again=lambda failed: channel(corrected(given, failed)),
        retries=retries,
        strict=strict,
        output_format=output_format,
        sees=specifier
        if written is None and has_images(given) and (source is None or source.is_model)
        else None,
    )


def complete(
    model: Any,
    prompt: str,
    *,
    response_format: Any = None,
    config: ConfigInput = None,
    preset: str | None = None,
    retries: int = 0,
    strict: bool = False,
    callbacks: PredictionCallbacks | None = None,
    support: ServerSupport | None = None,
) -> Prediction[Any]:
    """The continuation of a text, without any chat template.

    Servers before ``completeRawText`` reject it; the prompt then goes as a chat of one message
    with a template that adds nothing. ``support`` remembers that.

    Args: see ``respond``; ``prompt`` goes to the model as it is.

    Raises:
        LMStudioValueError: One of the arguments cannot be right, or a setting has no meaning
            without a chat.
    """
    if as_text(prompt) is None:
        raise LMStudioValueError(
            f"complete() takes text, not {type(prompt).__name__}; for a chat use respond()."
        )
    settings, output_format = _settings(config, response_format)
    _check_completion(settings)
    check_retries(retries, structured=output_format is not None)
    values = settings.to_kv()
    common = {"modelSpecifier": specifier_of(model), **_preset(preset)}

    def channel(
        endpoint: str, *layers: tuple[str, Mapping[str, Any]], **more: Any
    ) -> PredictionChannel[Any]:
        parameter = {**common, **more, "predictionConfigStack": config_stack(*layers)}
        tags = reasoning_tags(values)
        return PredictionChannel[Any](endpoint, parameter, output_format, callbacks, tags)

    def emulated() -> PredictionChannel[Any]:
        known.raw_completion = False
        return channel(
            "predict",
            ("apiOverride", values),
            ("completeModeFormatting", _RAW_TEXT_TEMPLATE),
            history={"messages": [_user_text(prompt)]},
        )

    def raw() -> PredictionChannel[Any]:
        # A preset's stop strings are meant for chats; they would cut a completion short.
        raw_values: dict[str, Any] = {"llm.prediction.stopStrings": [], **values}
        return channel("completeRawText", ("apiOverride", raw_values), rawPrompt=prompt)

    def once_more(_: object) -> PredictionChannel[Any]:
        return raw() if known.raw_completion else emulated()

    known = support or ServerSupport()
    if not known.raw_completion:
        return Prediction[Any](
            emulated(), None, once_more, retries, strict, output_format=output_format
        )
    return Prediction[Any](raw(), emulated, once_more, retries, strict, output_format=output_format)


def apply_prompt_template(model: Any, history: ChatInput, opts: Mapping[str, Any]) -> Call[str]:
    """The text that the model's chat template makes of a chat."""
    parameter = {
        "specifier": specifier_of(model),
        "history": history_data(history),
        "predictionConfigStack": config_stack(("apiOverride", {})),
        "opts": _template_options(opts),
    }
    return Call(Endpoint("llm", "applyPromptTemplate"), parameter, _formatted)


def context_usage(
    model: Any, history: ChatInput, tools: Iterable[ToolDefinition | Tool] | None
) -> Op[ContextUsage]:
    """How much of the model's context a chat takes."""
    opts = {} if tools is None else {"tool_definitions": tools}
    formatted: str = yield apply_prompt_template(model, history, opts)
    tokens: int = yield count_tokens(LLM_KIND, model, formatted)
    length: int = yield from get_context_length(LLM_KIND, model)
    return ContextUsage(tokens, length)


def _formatted(raw: Any) -> str:
    return str(raw["formatted"])


_OPTIONS: Final[Mapping[str, str]] = {
    "omit_bos_token": "omitBosToken",
    "omit_eos_token": "omitEosToken",
    "tool_definitions": "toolDefinitions",
}


def _template_options(opts: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in opts.items():
        key = _OPTIONS.get(name, name)
        if key not in _OPTIONS.values():
            raise LMStudioValueError(
                f"apply_prompt_template has no option {name!r}; known: {', '.join(_OPTIONS)}."
            )
        options[key] = value
    if options.get("toolDefinitions") is not None:
        tools = resolve_tools(options["toolDefinitions"])
        options["toolDefinitions"] = [tool.definition() for tool in tools]
    return {key: value for key, value in options.items() if value is not None}


def _settings(
    config: ConfigInput, response_format: Any
) -> tuple[LlmPredictionConfig, OutputFormat[Any] | None]:
    settings = LlmPredictionConfig.parse(config)
    if response_format is None:
        given = settings.structured
        return settings, None if given is None else setting_format(given.to_dict())
    if settings.structured is not None:
        raise LMStudioValueError(
            "Both response_format and the config's 'structured' say what the output has to be; "
            "give one of them."
        )
    output_format = resolve_format(response_format)
    return settings.model_copy(update={"structured": _setting(output_format)}), output_format


def _setting(output_format: OutputFormat[Any]) -> Any:
    return LlmPredictionConfig.parse({"structured": output_format.setting}).structured


def _check_completion(settings: LlmPredictionConfig) -> None:
    meaningless: Sequence[tuple[str, Any]] = (
        ("raw_tools", settings.raw_tools),
        ("tool_choice", settings.tool_choice),
        ("reasoning_budget", settings.reasoning_budget or None),
    )
    given = [name for name, value in meaningless if value is not None]
    if given:
        raise LMStudioValueError(
            f"complete() continues text without a chat, so {', '.join(given)} cannot apply; use "
            "respond(), or leave it out."
        )


def _preset(preset: str | None) -> dict[str, Any]:
    if preset is not None and not as_text(preset):
        raise LMStudioValueError(f"preset is the name of a preset of the server's, not {preset!r}.")
    return {} if preset is None else {"fuzzyPresetIdentifier": preset}


def _user_text(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}
