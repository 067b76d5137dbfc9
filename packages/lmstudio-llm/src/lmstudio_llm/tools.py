"""Tool definitions: what a model may call, and how its arguments reach Python.

A tool is given as a function with type hints and a docstring, as a ``ToolFunctionDef``, as that in
dict form, or as the wire form ``{"type": "function", "function": {...}}`` of a tool that this
program does not run itself. ``resolve_tools`` makes ``Tool`` objects of all of them.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, cast

import pydantic
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import to_jsonable_python
from typing_extensions import NotRequired, Required, TypedDict

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import as_mapping

from .callables import described_parameters, positional_only
from .foreign_tools import foreign_tool
from .jsonschema_check import UncheckableSchemaError, joined_path, schema_errors, schema_line
from .tool_arguments import with_text_decoded
from .tool_schemas import NO_DEFAULT, defaults_of, described_by_pydantic, plain_schema
from .typed_dicts import portable

__all__ = [
    "Tool",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "ToolParameterDict",
    "defined_tool",
    "resolve_tool",
    "resolve_tools",
    "tools_setting",
]

logger: Final = logging.getLogger("lmstudio")


class ToolParameterDict(TypedDict):  # public
    """A parameter with a default or a description: ``{"type": int, "default": 3}``.

    Example:
        >>> parameter: ToolParameterDict = {"type": int, "default": 3, "description": "How many."}
        >>> tool = ToolFunctionDef(
        ...     name="roll", description="", parameters={"dice": parameter}, implementation=print
        ... )
        >>> tool.name
        'roll'
    """

    type: Any
    default: NotRequired[Any]
    description: NotRequired[str]


class ToolFunctionDefDict(TypedDict):  # public
    """``ToolFunctionDef`` as a dict.

    Example:
        >>> tool: ToolFunctionDefDict = {
        ...     "name": "multiply",
        ...     "description": "Multiply two whole numbers.",
        ...     "parameters": {"a": int, "b": int},
        ...     "implementation": lambda a, b: a * b,
        ... }
        >>> model.act("What is 6 times 7?", [tool]).tool_calls[0].result
        42
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    implementation: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class ToolFunctionDef:  # public
    """A tool whose name, description and parameters are given apart from the function.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters: Parameter name → type, or ``{"type": ..., "default": ..., "description": ...}``;
            or a whole JSON schema of the type ``object``, whose arguments are then passed as they
            come.
        implementation: The function, which may be ``async``; called with keyword arguments.

    Example:
        >>> def add(a: int, b: int) -> int:
        ...     return a + b
        >>> tool = ToolFunctionDef(
        ...     name="add",
        ...     description="Add two numbers.",
        ...     parameters={"a": int, "b": int},
        ...     implementation=add,
        ... )
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    implementation: Callable[..., Any]

    @classmethod
    def from_callable(
        cls, f: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> ToolFunctionDef:
        """Make one of a function with type hints.

        Args:
            f: The function (or method, or object with ``__call__``), ``async`` or not. What a
                Google, NumPy or reST docstring says of parameters describes them.
            name: The tool's name; the function's unless given.
            description: What it does; the docstring without such sections unless given.

        Raises:
            LMStudioValueError: The function has no name or docstring and none is given, or a
                parameter has no type hint.
        """
        if not callable(f):
            raise LMStudioValueError(f"A tool is a function, not {type(f).__name__}.")
        known = name or getattr(f, "__name__", None)
        if not known or known == "<lambda>":
            raise LMStudioValueError(
                f"The tool {f!r} has no name; use ToolFunctionDef.from_callable(f, name=...)."
            )
        summary, parameters = described_parameters(f, known)
        text = description or summary
        if not text:
            raise LMStudioValueError(
                f"The tool {known!r} has no docstring to tell the model what it does; write one, "
                "or use ToolFunctionDef.from_callable(f, description=...)."
            )
        return cls(name=known, description=text, parameters=parameters, implementation=f)


ToolDefinition = (
    Callable[..., Any] | ToolFunctionDef | ToolFunctionDefDict | Mapping[str, Any]
)  # public
"""Whatever stands for a tool."""


@dataclass(frozen=True)
class Tool:
    """A tool made ready: its schema for the model, and the way from arguments to a call.

    Attributes:
        name: What the model calls it.
        description: What it does.
        parameters: The JSON schema of its arguments, of the type ``object``.
        implementation: The function; ``None`` for tools that run elsewhere.
    """

    name: str
    description: str | None
    parameters: Mapping[str, Any]
    implementation: Callable[..., Any] | None = None
    _adapter: Callable[[], TypeAdapter[Any]] | None = field(default=None, repr=False, compare=False)
    _defaults: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)
    _positional: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def is_async(self) -> bool:
        """Whether calling the implementation gives something to await."""
        f: Any = self.implementation
        while isinstance(f, functools.partial):
            f = cast("Any", f).func
        called = getattr(f, "__call__", None)  # noqa: B004 - looked at, not asked for
        return any(
            inspect.iscoroutinefunction(kind) or inspect.isasyncgenfunction(kind)
            for kind in (f, called)
        )

    @property
    def checked_by_schema(self) -> bool:
        """Whether arguments are checked by a JSON schema that was given whole."""
        return self.implementation is not None and self._adapter is None

    def definition(self) -> dict[str, Any]:
        """The tool as the server takes it."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = dict(self.parameters)
        return {"type": "function", "function": function}

    def prepare(self, arguments: Mapping[str, Any] | None) -> Callable[[], Any]:
        """Check a model's arguments against the type hints and bind them to the function.

        Args:
            arguments: By name; values are coerced to the hints (``"3"`` to ``3``, a dict to a
                model class, text to an enum). What is left out takes the function's default, and
                so does ``None`` if that is the default. Where they do not fit, JSON text in place
                of a list, object or number is read.

        Returns:
            The call, ready to be made; what it returns has to be awaited if ``is_async``.

        Raises:
            LMStudioValueError: Something is missing, unknown, or of the wrong type, or the tool
                has no implementation here.
        """
        if self.implementation is None:
            raise LMStudioValueError(f"The tool {self.name!r} has no implementation in Python.")
        given: dict[str, Any] = {
            name: value
            for name, value in (arguments or {}).items()
            if value is not None or self._defaults.get(name, NO_DEFAULT) is not None
        }
        checked = self._by_schema(given) if self._adapter is None else self._by_hints(given)
        values = {**self._defaults, **checked}
        leading = _leading(self._positional, values)
        return functools.partial(self.implementation, *leading, **values)

    def _by_hints(self, values: dict[str, Any]) -> dict[str, Any]:
        adapter = cast("Callable[[], TypeAdapter[Any]]", self._adapter)()
        try:
            return cast("dict[str, Any]", adapter.validate_python(values))
        except pydantic.ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
            meant = with_text_decoded(values, self.parameters, [p["loc"] for p in problems])
            if meant is not None:
                try:
                    return cast("dict[str, Any]", adapter.validate_python(meant))
                except pydantic.ValidationError:
                    pass  # what the model wrote is what it is told of
            lines = [f"{joined_path(p['loc'])}: {p['msg']}" for p in problems]
            raise self._misfit(lines) from error

    def _by_schema(self, values: dict[str, Any]) -> dict[str, Any]:
        try:
            if not (errors := schema_errors(values, self.parameters)):
                return values
            meant = with_text_decoded(values, self.parameters, [e.absolute_path for e in errors])
            if meant is not None and not schema_errors(meant, self.parameters):
                return meant
        except UncheckableSchemaError as error:
            # Schemas of others (MCP servers') may be odd; whoever wrote them checks, too.
            logger.warning("The arguments of the tool %r are not checked: %s", self.name, error)
            return values
        raise self._misfit([schema_line(error) for error in errors])

    def _misfit(self, lines: Sequence[str]) -> LMStudioValueError:
        return LMStudioValueError(
            f"The arguments do not fit the tool {self.name!r}: {'; '.join(lines)}"
        )


def _leading(positional: Sequence[str], values: dict[str, Any]) -> list[Any]:
    """Take the values of positional-only parameters out of ``values``, up to the first not given."""
    taken: list[Any] = []
    for name in positional:
        if name not in values:
            break
        taken.append(values.pop(name))
    return taken


def resolve_tools(tools: Iterable[ToolDefinition | Tool]) -> list[Tool]:
    """All tools made ready.

    Raises:
        LMStudioValueError: One is no tool, or two have the same name.
    """
    listed: Any = tools
    if isinstance(listed, (str, bytes, Mapping)) or not isinstance(listed, Iterable):
        raise LMStudioValueError(f"tools is a list of tools, not {type(tools).__name__}.")
    made: dict[str, Tool] = {}
    for given in tools:
        tool = resolve_tool(given)
        if tool.name in made:
            raise LMStudioValueError(f"Two tools have the name {tool.name!r}; rename one of them.")
        made[tool.name] = tool
    return list(made.values())


def resolve_tool(tool: ToolDefinition | Tool) -> Tool:
    """One tool made ready; see ``resolve_tools``."""
    defined = defined_tool(tool)
    return defined if isinstance(defined, Tool) else _from_def(defined)


def defined_tool(tool: ToolDefinition | Tool) -> ToolFunctionDef | Tool:
    """Whatever stands for a tool as a definition; one that runs elsewhere, or is ready, as a tool.

    Raises:
        LMStudioValueError: It is no tool.
    """
    if isinstance(tool, (Tool, ToolFunctionDef)):
        return tool
    if (foreign := foreign_tool(tool)) is not None:
        return Tool(*foreign)
    if isinstance(tool, Mapping):
        return _from_dict(cast("Mapping[str, Any]", tool))
    return ToolFunctionDef.from_callable(tool)


def tools_setting(tools: Iterable[Tool]) -> dict[str, Any]:
    """The value of ``llm.prediction.tools`` for these tools."""
    definitions = [tool.definition() for tool in tools]
    return {"type": "toolArray", "tools": definitions} if definitions else {"type": "none"}


def _from_dict(given: Mapping[str, Any]) -> ToolFunctionDef:
    wanted = ("name", "description", "parameters", "implementation")
    missing = [key for key in wanted if key not in given]
    unknown = [key for key in given if key not in wanted]
    if missing or unknown:
        raise LMStudioValueError(
            f"A tool as a dict has the keys {', '.join(wanted)}"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            + "."
        )
    return ToolFunctionDef(**given)


def _from_def(definition: ToolFunctionDef) -> Tool:
    name: Any = definition.name  # what the caller wrote, whatever the annotation says
    parameters = definition.parameters
    if not isinstance(name, str) or not name:
        raise LMStudioValueError(f"A tool's name is a string, not {name!r}.")
    if not callable(definition.implementation):
        raise LMStudioValueError(f"The implementation of the tool {name!r} is not callable.")
    _check_parameters(name, parameters)
    if parameters.get("type") == "object":
        return Tool(name, definition.description, parameters, definition.implementation)

    @functools.cache
    def adapter() -> TypeAdapter[Any]:
        return TypeAdapter(_arguments_type(name, parameters))

    schema = plain_schema(parameters)
    if schema is None:
        schema = described_by_pydantic(name, parameters, _arguments_type)
        parameters = {key: parameters[key] for key in schema["properties"]}
    return Tool(
        name,
        definition.description,
        schema,
        definition.implementation,
        adapter,
        defaults_of(parameters),
        positional_only(definition.implementation),
    )


_PARAMETER_KEYS = frozenset(("type", "default", "description"))


def _check_parameters(name: str, parameters: Any) -> None:
    """Raise for what is neither types by name nor a whole JSON schema."""
    if not isinstance(parameters, Mapping):
        raise LMStudioValueError(
            f"The parameters of the tool {name!r} are a dict of types by name, or a JSON schema of "
            f"the type 'object', not {parameters!r}."
        )
    given = cast("Mapping[str, Any]", parameters)
    if given.get("type") == "object":
        return
    for parameter, declared in given.items():
        spec = as_mapping(declared)
        kind = spec.get("type") if isinstance(declared, Mapping) else declared
        if spec.keys() - _PARAMETER_KEYS or (isinstance(kind, str) and kind in _JSON_TYPES):
            raise LMStudioValueError(
                f"The parameter {parameter!r} of the tool {name!r} is a type such as int, or a dict "
                f"with the keys type, default and description, not {declared!r}. A JSON schema is "
                'given whole: {"type": "object", "properties": {...}}.'
            )


_JSON_TYPES = frozenset(("string", "integer", "number", "boolean", "array", "null"))


def _arguments_type(name: str, parameters: Mapping[str, Any]) -> Any:
    """A TypedDict of the parameters: unlike a model's fields, its keys may have any name."""
    hints: dict[str, Any] = {}
    for parameter, declared in parameters.items():
        kind, default = declared, NO_DEFAULT
        if isinstance(declared, Mapping):
            spec = cast("Mapping[str, Any]", declared)
            kind, default = spec.get("type", Any), spec.get("default", NO_DEFAULT)
            if "description" in spec:
                kind = Annotated[kind, Field(description=spec["description"])]
        kind = portable(kind)
        if default is NO_DEFAULT:
            hints[parameter] = Required[kind]
        else:
            hints[parameter] = NotRequired[_with_default(kind, default)]
    made: Any = cast("Any", TypedDict)(f"{name}_arguments", hints)
    made.__pydantic_config__ = ConfigDict(
        extra="forbid", coerce_numbers_to_str=True, arbitrary_types_allowed=True
    )
    return made


def _with_default(kind: Any, default: Any) -> Any:
    """The type with its default told to the model, where JSON can say it."""
    try:
        shown = to_jsonable_python(default)
    except (ValueError, TypeError):
        return kind
    return Annotated[kind, Field(json_schema_extra={"default": shown})]
