"""``BatchSpec``: what is asked of every row."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, cast, get_args

from lmstudio_core.plugins.api import error_text, is_mapping, nearest
from lmstudio_llm import LlmPredictionConfig

from ..errors import BatchInputError
from ..pool.members import Kind

__all__ = ["BatchSpec", "Format", "Task", "prompt_fields"]

Task = Literal["respond", "complete", "embed"]
Format = Literal["rows", "openai"]

_FIELD: Final = {"respond": "prompt", "complete": "prompt", "embed": "text"}
"""The field of a row that is asked where no prompt is given."""


@dataclass(frozen=True)
class BatchSpec:  # public
    """What is asked of every row; plain data that travels to other machines.

    Args:
        model: The key or identifier of the model.
        task: ``"respond"`` (a chat's answer), ``"complete"`` (a text's continuation) or ``"embed"``.
        prompt: The text to ask, with fields of the row in braces: ``"Summarise: {text}"``. Without
            it, a row's ``messages`` (in OpenAI's form), ``prompt`` or ``text`` is asked.
        system: A system prompt.
        response_format: What the output has to be; see ``LLM.respond``.
        config: Settings of predictions; see ``LLM.respond``.
        preset: The name of one of the server's presets.
        normalize: Whether vectors are scaled to length 1.
        chunk: Whether texts that are too long are embedded in parts; a number of tokens for parts
            of that size.
        format: ``"rows"``, or ``"openai"`` for OpenAI's batch format.

    Raises:
        BatchInputError: A setting cannot be right.

    Example:
        >>> spec = BatchSpec("pocket", prompt="Summarise: {text}", config={"maxTokens": 8})
        >>> report = client.batch.run([{"text": "Cats sleep."}], "out.jsonl", spec)
        >>> report.rows
        1
    """

    model: str | None = None
    task: Task = "respond"
    prompt: str | None = None
    system: str | None = None
    response_format: Any = None
    config: Any = None
    preset: str | None = None
    normalize: bool = False
    chunk: bool | int = False
    format: Format = "rows"

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            known = ", ".join(map(repr, get_args(Task)))
            raise BatchInputError(f"task is one of {known}, not {self.task!r}.")
        if self.format not in get_args(Format):
            raise BatchInputError(f"format is 'rows' or 'openai', not {self.format!r}.")
        if self.prompt is not None:
            prompt_fields(self.prompt)
        if self.task == "embed":
            self._refuse(
                "response_format", "config", "preset", "system", why="embeddings have none"
            )
        else:
            self._refuse("normalize", "chunk", why="it is for embeddings")
        if self.format == "openai":
            self._refuse(
                "prompt", "system", "response_format", why="OpenAI's bodies have their own"
            )
        if self.config is not None:
            self._check_config(self.config)

    @staticmethod
    def _check_config(config: Any) -> None:
        if is_mapping(config):
            LlmPredictionConfig.from_dict(config)
        elif not isinstance(config, LlmPredictionConfig):
            kind = type(config).__name__
            raise BatchInputError(f"config is a dict or an LlmPredictionConfig, not {kind}.")

    def _refuse(self, *names: str, why: str) -> None:
        for name in names:
            if getattr(self, name) not in (None, False):
                raise BatchInputError(f"{name} cannot be set here: {why}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BatchSpec:
        """The spec of a dict, such as one read from a file.

        Args:
            data: The settings by their names, those of ``BatchSpec``.

        Returns:
            The spec.

        Raises:
            BatchInputError: A key is unknown; the nearest is named.
        """
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                like = nearest(key, known)
                hint = f" Did you mean {like!r}?" if like else ""
                raise BatchInputError(f"A batch has no setting {key!r}.{hint}")
        return cls(**data)

    @property
    def kind(self) -> Kind:
        """The kind of model that it takes."""
        return "embedding" if self.task == "embed" else "llm"

    @property
    def field(self) -> str:
        """The field of a row that is asked where no prompt is given."""
        return _FIELD[self.task]

    def decides(self) -> dict[str, Any]:
        """What decides the answers, as plain data: a journal goes on with the same alone."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _plain(value) for name, value in given.items() if value not in (None, False)}


def prompt_fields(prompt: str) -> list[str]:
    """The fields of a row that a prompt names.

    Raises:
        BatchInputError: Its braces do not match, or hold something else than a name.
    """
    try:
        parts = list(string.Formatter().parse(prompt))
    except ValueError as error:
        raise BatchInputError(
            f"The prompt cannot be read: {error_text(error)}. Write {{{{ and }}}} for braces that are text."
        ) from error
    names = [name for _, name, _, _ in parts if name is not None]
    for name, (_, _, spec, conversion) in zip(
        names, (part for part in parts if part[1] is not None), strict=True
    ):
        if not name or not name.replace("_", "a").replace("-", "a").isalnum() or spec or conversion:
            raise BatchInputError(
                f"The prompt has {{{name}}}, which is not the name of a field. Write {{{{ and }}}} for "
                "braces that are text."
            )
    return list(dict.fromkeys(names))


def _plain(value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        return {str(key): _plain(one) for key, one in sorted(found.items())}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in cast("list[Any]", value)]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if callable(schema := getattr(value, "model_json_schema", None)):
        return schema()
    if callable(to_dict := getattr(value, "to_dict", None)) and not isinstance(value, type):
        return to_dict()
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{getattr(value, '__module__', '')}.{name}"
