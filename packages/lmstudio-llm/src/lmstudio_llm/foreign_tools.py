"""Tools of other packages: LangChain's, Pydantic AI's, MCP's, and dicts as OpenAI's API has them.

They are known by their shape, so that none of the packages has to be installed. Their own schema
is what the model sees, and their own way of being called is how they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import is_mapping

__all__ = ["ForeignTool", "foreign_tool"]

ForeignTool = tuple[str, str | None, Mapping[str, Any], Callable[..., Any] | None]
"""The name, what it does, the JSON schema of the arguments, and what runs it, if that is here."""

_NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_OURS: Final = "implementation"


def foreign_tool(tool: Any) -> ForeignTool | None:
    """What is to be known of a tool of another package; ``None`` if it is none.

    Raises:
        LMStudioValueError: It is one, and cannot be used outside of that package.
    """
    if is_mapping(tool):
        return None if _OURS in tool else _of_dict(tool)
    if isinstance(tool, type) or not isinstance(getattr(tool, "name", None), str):
        return None
    if hasattr(tool, "args_schema") and callable(getattr(tool, "invoke", None)):
        return _of_langchain(tool)
    if hasattr(tool, "function_schema"):
        return _of_pydantic_ai(tool)
    for key in ("input_schema", "inputSchema"):  # of mcp 2 and 1
        if is_mapping(schema := getattr(tool, key, None)):
            return _made(tool.name, getattr(tool, "description", None), schema, None)
    return None


def _of_dict(given: Mapping[str, Any]) -> ForeignTool | None:
    """A tool that runs elsewhere: OpenAI's chat and responses APIs', Anthropic's, MCP's."""
    if "function" in given:
        inner = given["function"]
        if not is_mapping(inner):
            raise LMStudioValueError(f"A tool's 'function' is a dict, not {inner!r}.")
        return _made(inner.get("name"), inner.get("description"), inner.get("parameters"), None)
    if given.get("type") == "function":
        return _made(given.get("name"), given.get("description"), given.get("parameters"), None)
    for key in ("input_schema", "inputSchema"):
        if key in given:
            return _made(given.get("name"), given.get("description"), given[key], None)
    return None


def _of_langchain(tool: Any) -> ForeignTool:
    schema = getattr(tool, "tool_call_schema", tool.args_schema)  # without what is injected
    if not is_mapping(schema):
        schema = schema.model_json_schema()
    if getattr(tool, "coroutine", None) is not None:

        async def call_async(**arguments: Any) -> Any:
            return await tool.ainvoke(arguments)

        return _made(tool.name, tool.description, schema, call_async)

    def call(**arguments: Any) -> Any:
        return tool.invoke(arguments)

    return _made(tool.name, tool.description, schema, call)


def _of_pydantic_ai(tool: Any) -> ForeignTool:
    how = tool.function_schema
    if tool.takes_ctx:
        raise LMStudioValueError(
            f"The tool {tool.name!r} takes Pydantic AI's RunContext, which only an agent of Pydantic "
            "AI has; give act() a function without it."
        )

    async def call(**arguments: Any) -> Any:
        return await how.call(how.validator.validate_python(arguments), None)

    return _made(tool.name, tool.description, how.json_schema, call)


def _made(
    name: Any, description: Any, schema: Any, implementation: Callable[..., Any] | None
) -> ForeignTool:
    if not isinstance(name, str) or not name:
        raise LMStudioValueError(f"A tool needs a 'name', which is a string, not {name!r}.")
    if schema is None:
        schema = _NO_ARGUMENTS
    if not is_mapping(schema) or schema.get("type", "object") != "object":
        raise LMStudioValueError(
            f"The parameters of the tool {name!r} are a JSON schema of the type 'object', such as "
            f'{{"type": "object", "properties": {{"city": {{"type": "string"}}}}}}, not {schema!r}.'
        )
    whole = {**_NO_ARGUMENTS, **schema}
    return name, description or None, whole, implementation
