"""What the facades run: predictions, completions, prompt templates, as operations without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar
from weakref import WeakKeyDictionary

from lmstudio_core.config import config_stack
from lmstudio_core.errors import LMStudioRequestRejectedError, LMStudioValueError
from lmstudio_core.models.operations import query_specifier
from lmstudio_core.protocol.operations import Call, Endpoint, Op

from .chat import ChatInput, history_data
from .config import LlmPredictionConfig
from .narrow import text
from .prediction import PredictionCallbacks, PredictionChannel
from .results import PredictionResult
from .schemas import OutputFormat, resolve_format, setting_format
from .tools import Tool, ToolDefinition, resolve_tools, tools_setting

__all__ = [
    "ConfigInput",
    "Prediction",
    "ServerSupport",
    "ToolChoice",
    "apply_prompt_template",
    "complete",
    "respond",
    "support_of",
]

T = TypeVar("T")

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


@dataclass
class Prediction(Generic[T]):
    """A prediction to be made: its channel, and another one for servers that reject the first."""

    channel: PredictionChannel[T]
    fallback: Callable[[], PredictionChannel[T]] | None = field(default=None, repr=False)

    def fall_back(self, error: LMStudioRequestRejectedError) -> PredictionChannel[T]:
        """The channel to use instead; raises ``error`` if there is none."""
        if self.fallback is None:
            raise error
        self.channel, self.fallback = self.fallback(), None
        return self.channel

    def op(self) -> Op[PredictionResult[T]]:
        """Make the prediction."""
        try:
            result: PredictionResult[T] = yield self.channel
        except LMStudioRequestRejectedError as error:
            result = yield self.fall_back(error)
        return result


def respond(
    identifier: str,
    history: ChatInput,
    *,
    response_format: Any = None,
    config: ConfigInput = None,
    preset: str | None = None,
    tools: Iterable[ToolDefinition | Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    callbacks: PredictionCallbacks | None = None,
) -> Prediction[Any]:
    """The next response in a chat.

    Args:
        identifier: The loaded model.
        history: The chat so far.
        response_format: What the output has to be.
        config: Settings.
        preset: The name of a preset of the server's.
        tools: What the model may call; an empty list tells it that there is nothing.
        tool_choice: Whether it may, must or must not call one.
        callbacks: Whom to tell what happens.

    Raises:
        LMStudioValueError: One of the arguments cannot be right.
    """
    settings, output_format = _settings(config, response_format)
    values = settings.to_kv()
    if tools is not None:
        values["llm.prediction.tools"] = tools_setting(resolve_tools(tools))
    if tool_choice is not None:
        choice = LlmPredictionConfig.parse({"toolChoice": tool_choice})
        values.update(choice.to_kv())
    parameter = {
        "modelSpecifier": query_specifier(identifier),
        "history": history_data(history),
        "predictionConfigStack": config_stack(("apiOverride", values)),
        **_preset(preset),
    }
    return Prediction(PredictionChannel("predict", parameter, output_format, callbacks))


def complete(
    identifier: str,
    prompt: str,
    *,
    response_format: Any = None,
    config: ConfigInput = None,
    preset: str | None = None,
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
    if text(prompt) is None:
        raise LMStudioValueError(
            f"complete() takes text, not {type(prompt).__name__}; for a chat use respond()."
        )
    settings, output_format = _settings(config, response_format)
    _check_completion(settings)
    values = settings.to_kv()
    common = {"modelSpecifier": query_specifier(identifier), **_preset(preset)}

    def channel(
        endpoint: str, *layers: tuple[str, Mapping[str, Any]], **more: Any
    ) -> PredictionChannel[Any]:
        parameter = {**common, **more, "predictionConfigStack": config_stack(*layers)}
        return PredictionChannel[Any](endpoint, parameter, output_format, callbacks)

    def emulated() -> PredictionChannel[Any]:
        known.raw_completion = False
        return channel(
            "predict",
            ("apiOverride", values),
            ("completeModeFormatting", _RAW_TEXT_TEMPLATE),
            history={"messages": [_user_text(prompt)]},
        )

    known = support or ServerSupport()
    if not known.raw_completion:
        return Prediction(emulated())
    # A preset's stop strings are meant for chats; they would cut a completion short.
    raw_values: dict[str, Any] = {"llm.prediction.stopStrings": [], **values}
    raw = channel("completeRawText", ("apiOverride", raw_values), rawPrompt=prompt)
    return Prediction(raw, emulated)


def apply_prompt_template(
    identifier: str, history: ChatInput, opts: Mapping[str, Any]
) -> Call[str]:
    """The text that the model's chat template makes of a chat."""
    parameter = {
        "specifier": query_specifier(identifier),
        "history": history_data(history),
        "predictionConfigStack": config_stack(("apiOverride", {})),
        "opts": _template_options(opts),
    }
    return Call(Endpoint("llm", "applyPromptTemplate"), parameter, _formatted)


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
    return {} if preset is None else {"fuzzyPresetIdentifier": preset}


def _user_text(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}
