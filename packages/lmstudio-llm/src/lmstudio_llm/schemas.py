"""Structured output: from what a caller asks for to the server's setting, and back to values."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar, cast, runtime_checkable

import pydantic
from pydantic import TypeAdapter

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import as_mapping, error_text, is_mapping, is_sequence

from .config_types import LlmStructuredPredictionSetting
from .jsonschema_check import UncheckableSchemaError, schema_problems
from .partial_values import Begun, no_partial, partial_of, plain_partial
from .schema_forms import has_struct, of_openai, with_attrs
from .typed_dicts import portable

__all__ = [
    "DataFormat",
    "DictObject",
    "DictSchema",
    "GbnfGrammar",
    "ModelSchema",
    "NoValue",
    "OutputFormat",
    "ResponseSchema",
    "StructuredOutput",
    "TypedFormat",
    "resolve_format",
]

T = TypeVar("T")

DictObject = dict[str, Any]  # public
DictSchema = dict[str, Any]  # public


@runtime_checkable
class ModelSchema(Protocol):  # public
    """Anything that tells its JSON schema as pydantic's models do.

    Example:
        >>> class Answer:
        ...     @classmethod
        ...     def model_json_schema(cls) -> dict:
        ...         return {"type": "object", "properties": {"yes": {"type": "boolean"}}}
        >>> isinstance(Answer, ModelSchema)
        True
    """

    @classmethod
    def model_json_schema(cls) -> DictSchema:
        """The JSON schema that describes instances."""
        ...


@dataclass(frozen=True)
class GbnfGrammar:  # public
    r"""A grammar in llama.cpp's GBNF notation that the output has to follow.

    The result's ``value`` is the text; ``parsed`` is a dict if the text is a JSON object.

    Example:
        >>> grammar = GbnfGrammar('root ::= "yes" | "no"')
        >>> model.respond("Is Paris in France?", response_format=grammar).value in ("yes", "no")
        True
    """

    grammar: str


DataFormat = Mapping[str, Any] | LlmStructuredPredictionSetting
"""A format without a class: a JSON schema, or a setting in the server's form or as an object."""

TypedFormat = type[T] | TypeAdapter[T]
"""A format that makes values of a type: a class, or an adapter for what is no class."""

ResponseSchema = (
    type[ModelSchema] | type[Any] | TypeAdapter[Any] | DataFormat | GbnfGrammar
)  # public
"""Whatever ``response_format=`` takes."""


@dataclass(frozen=True)
class NoValue:
    """In place of an instance: why a class that tells its schema cannot be made of the data."""

    reason: str


@dataclass(frozen=True)
class StructuredOutput:
    """What became of an output: plain data and the value, or what is wrong with it."""

    parsed: Any = None
    value: Any = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutputFormat(Generic[T]):
    """A response format made ready.

    Attributes:
        setting: The value of ``llm.prediction.structured``.
        read: Turns the text of the output into plain data and a value.
        structured: Whether the output is data in any case; that of a grammar is if it is a JSON
            object.
        by_schema: Whether ``read`` needs the ``jsonschema`` package, which takes a while to import.
        partial: Makes a value of the beginning of the data; see ``PredictionStream.partials``.
    """

    setting: dict[str, Any]
    read: Callable[[str], StructuredOutput]
    structured: bool = True
    by_schema: bool = False
    partial: Callable[[Begun], Any] = field(default=plain_partial, repr=False)


def resolve_format(response_format: Any) -> OutputFormat[Any]:
    """Make a response format ready.

    Args:
        response_format: A pydantic model or other class with ``model_json_schema``, a dataclass,
            a TypedDict or another type that pydantic has a schema for (``list[Book]``, ``int``, a
            ``Literal``), a ``TypeAdapter``, a class of attrs or msgspec, a JSON schema as a dict,
            OpenAI's ``{"type": "json_schema", ...}``, a ``GbnfGrammar``, or a setting: an
            ``LlmStructuredPredictionSetting``, or a dict in the server's form.

    Raises:
        LMStudioValueError: It is none of these, or the schema is no schema.
    """
    if isinstance(response_format, LlmStructuredPredictionSetting):
        response_format = response_format.to_dict()
    if isinstance(response_format, GbnfGrammar):
        return _grammar(response_format.grammar)
    if is_mapping(response_format):
        return _of_dict(of_openai(response_format))
    if isinstance(response_format, (str, bytes)):
        raise LMStudioValueError(
            "response_format is a class, a JSON schema as a dict, or GbnfGrammar('...'), not text."
        )
    if callable(getattr(response_format, "model_json_schema", None)):
        return _of_class(response_format)
    return _of_type(response_format)


def setting_format(setting: Mapping[str, Any]) -> OutputFormat[Any] | None:
    """The format that a server's setting describes; ``None`` if it asks for nothing."""
    kind = setting.get("type")
    named = {"json_schema": "jsonSchema", "gbnf_grammar": "gbnfGrammar"}
    wired = {named.get(key, key): value for key, value in setting.items()}
    if kind == "gbnf":
        return _grammar(wired.get("gbnfGrammar") or "")
    if kind == "json":
        return _of_schema(as_mapping(wired.get("jsonSchema")), wired)
    return None


def _grammar(text: str) -> OutputFormat[Any]:
    if not text.strip():
        raise LMStudioValueError(
            "The GBNF grammar is empty; it needs at least a rule 'root ::= ...'."
        )
    return OutputFormat({"type": "gbnf", "gbnfGrammar": text}, _by_grammar, structured=False)


def _by_grammar(output: str) -> StructuredOutput:
    """What a grammar let through: data if it is a JSON object, else text; the value is the text."""
    data, _ = _json(output)
    return StructuredOutput(data if is_mapping(data) else output, output)


_NO_FORMAT: Final = OutputFormat[str](
    {"type": "none"}, lambda output: StructuredOutput(output, output), structured=False
)


def _of_dict(given: Mapping[str, Any]) -> OutputFormat[Any]:
    if (found := setting_format(given)) is not None:
        return found
    if given.get("type") == "none":
        return _NO_FORMAT
    return _of_schema(given, {"type": "json", "jsonSchema": dict(given)})


def _of_schema(schema: Mapping[str, Any], setting: dict[str, Any]) -> OutputFormat[Any]:
    check_schema(schema)

    def read(text: str) -> StructuredOutput:
        data, problems = _json(text)
        try:
            problems = problems or schema_problems(data, schema)
        except UncheckableSchemaError as error:
            problems = (f"the output cannot be checked: {error}",)
        return StructuredOutput(problems=problems) if problems else StructuredOutput(data, data)

    return OutputFormat(setting, read, by_schema=True)


def _of_class(cls: Any) -> OutputFormat[Any]:
    try:
        schema = cls.model_json_schema()
    except Exception as error:
        raise _no_schema(cls, error) from error
    if not is_mapping(schema):
        raise LMStudioValueError(
            f"model_json_schema() of {cls!r} gives a JSON schema as a dict, not {schema!r}."
        )
    plain = _of_schema(schema, {"type": "json", "jsonSchema": schema})
    make = _maker(cls, as_mapping(schema.get("properties")))
    if isinstance(cls, type) and issubclass(cls, pydantic.BaseModel):
        return OutputFormat(
            plain.setting,
            lambda text: _validated(text, make),
            partial=lambda begun: partial_of(cls, begun),
        )

    def read(text: str) -> StructuredOutput:
        plainly = plain.read(text)
        return plainly if plainly.problems else _validated(text, make)

    return OutputFormat(plain.setting, read, by_schema=True, partial=no_partial)


def _maker(cls: Any, named: Mapping[str, Any]) -> Callable[[str], Any]:
    """What makes an instance of JSON text: the class's own way, else its constructor.

    The constructor gets what the schema names; other kinds of classes ignore the rest, too.
    """
    if callable(by_text := getattr(cls, "model_validate_json", None)):
        return cast("Callable[[str], Any]", by_text)
    by_data: Callable[..., Any] | None = getattr(cls, "model_validate", None)

    def make(text: str) -> Any:
        data = json.loads(text)
        if by_data is not None:
            return by_data(data)
        if not is_mapping(data):
            return _constructed(cls, data)
        return _constructed(cls, **{name: data[name] for name in data if name in (named or data)})

    return make


def _constructed(cls: Any, *args: Any, **fields: Any) -> Any:
    """An instance, or ``NoValue``: a class may describe data and not be made for holding it."""
    try:
        return cls(*args, **fields)
    except TypeError as error:
        return NoValue(
            f"{cls.__name__}() does not take what the schema describes ({error_text(error)})"
        )


def _of_type(kind: Any) -> OutputFormat[Any]:
    if inspect.isroutine(kind):
        raise _no_schema(kind, "it is a function.")
    if has_struct(kind):
        return _of_struct(kind)
    try:
        adapter: TypeAdapter[Any] = (
            cast("Any", kind)
            if isinstance(kind, TypeAdapter)
            else TypeAdapter(with_attrs(portable(kind)))
        )
        schema = adapter.json_schema()
    except (pydantic.errors.PydanticUserError, AttributeError, TypeError, NameError) as error:
        raise _no_schema(kind, error) from error
    # An adapter tells its type in no other way.
    of: Any = getattr(adapter, "_type", Any) if isinstance(kind, TypeAdapter) else portable(kind)
    return OutputFormat(
        {"type": "json", "jsonSchema": schema},
        lambda text: _validated(text, adapter.validate_json),
        partial=lambda begun: partial_of(of, begun),
    )


def _of_struct(kind: Any) -> OutputFormat[Any]:
    """A class of msgspec's, or a type with one in it: msgspec checks the data itself."""
    msgspec: Any = importlib.import_module("msgspec")
    try:
        schema = msgspec.json.schema(kind)
        decode = msgspec.json.Decoder(kind).decode
    except TypeError as error:
        raise _no_schema(kind, error) from error
    return OutputFormat(
        {"type": "json", "jsonSchema": schema},
        lambda text: _validated(text, decode),
        partial=lambda begun: partial_of(kind, begun),
    )


def _no_schema(given: Any, why: object) -> LMStudioValueError:
    reason = (str(why).splitlines() or [""])[0]
    return LMStudioValueError(
        f"response_format={given!r} has no JSON schema: {reason} Give a pydantic model, a "
        "dataclass, a TypedDict, a JSON schema as a dict, or a GbnfGrammar."
    )


def _validated(text: str, make: Callable[[str], Any]) -> StructuredOutput:
    data, problems = _json(text)
    if problems:
        return StructuredOutput(problems=problems)
    try:
        return StructuredOutput(data, make(text))
    except pydantic.ValidationError as error:
        return StructuredOutput(problems=tuple(_line(problem) for problem in error.errors()))
    except Exception as error:  # noqa: BLE001 - the caller's class says why it cannot be made
        return StructuredOutput(problems=(f"{error_text(error, named=True)}",))


def _line(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


def _json(text: str) -> tuple[Any, tuple[str, ...]]:
    try:
        return json.loads(text), ()
    except ValueError as error:
        return None, (f"not JSON: {error_text(error)}",)


_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
_KEYWORDS: Final = frozenset(
    ("type", "properties", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "items", "not", "if")
)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise ``LMStudioValueError`` for what cannot be a JSON schema."""
    problem: str | None = None
    kind = schema.get("type")
    kinds = kind if is_sequence(kind) else [] if kind is None else [kind]
    if schema and not _KEYWORDS & schema.keys():
        problem = f"none of {', '.join(sorted(_KEYWORDS))} is in it"
    elif any(not isinstance(name, str) or name not in _TYPES for name in kinds):
        problem = f"'type' is one of {', '.join(_TYPES)}, not {kind!r}"
    elif not isinstance(schema.get("properties", {}), Mapping):
        problem = "'properties' is not a dict"
    else:
        try:
            json.dumps(schema)
        except (TypeError, ValueError) as error:
            problem = f"it is not plain JSON data ({error_text(error)})"
    if problem:
        raise LMStudioValueError(f"response_format is no JSON schema: {problem}.")
