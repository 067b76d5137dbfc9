"""The structured values inside prediction and load configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import core_schema

from lmstudio_core.config import ConfigModel

_T = TypeVar("_T")


class _OffSwitch:
    """Validates ``value | False`` by the value's type alone, so that 0 never counts as ``False``."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        value_type = get_args(source)[0]
        return core_schema.no_info_wrap_validator_function(
            _or_off,
            handler.generate_schema(value_type),
            serialization=core_schema.simple_ser_schema("any"),
        )


def _or_off(value: Any, validate: Callable[[Any], Any]) -> Any:
    if value is True:
        raise ValueError("give a value, or False to turn it off")
    return False if value is False else validate(value)


OrOff = Annotated[_T | Literal[False], _OffSwitch()]
"""A value, or ``False`` to turn the setting off."""


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        problem = "give a number; this has no switch to turn it off, so leave it out"
        raise ValueError(problem)  # noqa: TRY004 - what pydantic takes for a wrong value
    return value


NoSwitch: Final = BeforeValidator(_no_switch)
"""``True`` and ``False`` are no numbers; without this they would count as 1 and 0."""

NumberFromZero = Annotated[float, NoSwitch, Field(ge=0)]
Share = Annotated[float, NoSwitch, Field(ge=0, le=1)]
Count = Annotated[int, NoSwitch, Field(ge=1)]
CountFromZero = Annotated[int, NoSwitch, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]

LlmContextOverflowPolicy = Literal["stopAtLimit", "truncateMiddle", "rollingWindow"]  # public
LlmToolNaming = Literal["passThrough", "removeSpecial", "snakeCase", "camelCase"]  # public
LlmLlamaCacheQuantizationType = Literal[
    "f32", "f16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"
]  # public


class LlmStructuredPredictionSetting(ConfigModel):  # public
    """How the output is constrained: not at all, by a JSON schema, or by a GBNF grammar.

    Example:
        >>> setting = LlmStructuredPredictionSetting(type="json", json_schema={"type": "object"})
        >>> model.respond("Hello", response_format=setting).parsed
    """

    type: Literal["none", "json", "gbnf"]
    json_schema: Any = None
    gbnf_grammar: str | None = None


class LlmToolUseSetting(ConfigModel):  # public
    """The tools that the model is told of, in the server's form; ``force`` makes it call one.

    Example:
        >>> LlmPredictionConfig(raw_tools=LlmToolUseSetting(type="none")).to_dict()
        {'rawTools': {'type': 'none'}}
    """

    type: Literal["none", "toolArray"]
    tools: Sequence[Mapping[str, Any]] | None = None
    force: bool | None = None


class LlmToolChoice(ConfigModel):  # public
    """Whether the model may (``auto``), must (``required``) or must not (``none``) call tools.

    Example:
        >>> LlmPredictionConfig(tool_choice=LlmToolChoice(mode="required")).to_dict()
        {'toolChoice': {'type': 'generic', 'mode': 'required'}}
    """

    type: Literal["generic"] = "generic"
    mode: Literal["none", "auto", "required"]


class LlmReasoningParsing(ConfigModel):  # public
    """Whether reasoning is told apart from the answer, and the tags by which it is found.

    Example:
        >>> LlmReasoningParsing(enabled=True, start_string="<r>", end_string="</r>").enabled
        True
    """

    enabled: bool
    start_string: str = "<think>"
    end_string: str = "</think>"


class LlmJinjaPromptTemplate(ConfigModel):  # public
    """A chat template in Jinja.

    Example:
        >>> LlmJinjaPromptTemplate(template="{{ messages[0].content }}").template
        '{{ messages[0].content }}'
    """

    template: str


class LlmManualPromptTemplate(ConfigModel):  # public
    """A chat template made of what stands before and after each role's text.

    Example:
        >>> LlmManualPromptTemplate(before_user="User: ", after_user="\\n").before_user
        'User: '
    """

    before_system: str = ""
    after_system: str = ""
    before_user: str = ""
    after_user: str = ""
    before_assistant: str = ""
    after_assistant: str = ""


class LlmPromptTemplate(ConfigModel):  # public
    """The chat template of a prediction.

    Example:
        >>> jinja = LlmJinjaPromptTemplate(template="{{ messages[0].content }}")
        >>> LlmPromptTemplate(type="jinja", jinja_prompt_template=jinja).stop_strings
        ()
    """

    type: Literal["manual", "jinja"]
    manual_prompt_template: LlmManualPromptTemplate | None = None
    jinja_prompt_template: LlmJinjaPromptTemplate | None = None
    stop_strings: Sequence[str] = ()


class LlmLoadPromptTemplate(ConfigModel):  # public
    """The chat template that a model is loaded with.

    Example:
        >>> template = LlmJinjaPromptTemplate(template="{{ messages[0].content }}")
        >>> LlmLoadPromptTemplate(jinja_prompt_template=template).type
        'jinja'
    """

    type: Literal["jinja"] = "jinja"
    jinja_prompt_template: LlmJinjaPromptTemplate


class LlmLlamaCppArgument(ConfigModel):  # public
    """One argument of llama.cpp's, such as ``--foo`` and ``1``.

    Example:
        >>> LlmLlamaCppArgument(key="--threads", value="4").to_dict()
        {'key': '--threads', 'value': '4'}
    """

    key: str
    value: str


class LlmLlamaCppArgumentsOverride(ConfigModel):  # public
    """Arguments passed to llama.cpp as they are, in place of the config's.

    Example:
        >>> threads = LlmLlamaCppArgument(key="--threads", value="4")
        >>> override = LlmLlamaCppArgumentsOverride(override_parameters=[threads])
        >>> config = LlmLoadModelConfig(llama_cpp_arguments_override=override)
        >>> override.enabled
        True
    """

    enabled: bool = True
    disabled_parameters: Sequence[str] = ()
    override_parameters: Sequence[LlmLlamaCppArgument] = ()
    exclude_all_config: bool = False


class LlmMlxKvCacheQuantization(ConfigModel):  # public
    """How MLX stores the KV cache: bits per value, group size, tokens before it begins.

    Example:
        >>> LlmMlxKvCacheQuantization(bits=4).group_size
        64
    """

    enabled: bool = True
    bits: Literal[8, 6, 4, 3, 2] = 8
    group_size: Literal[32, 64, 128] = 64
    quantized_start: CountFromZero = 5000
