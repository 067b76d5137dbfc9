"""What is asked for a row, and the record of what came of it."""

from __future__ import annotations

import json
import sys
from array import array
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lmstudio_core.plugins.api import LMStudioValueError, error_text, is_mapping, json_text
from lmstudio_llm import Chat

from . import openai
from .rows import Row
from .spec import BatchSpec, prompt_fields

__all__ = ["Requests", "error_record", "float32"]

_TEXT_FIELDS: Final = ("messages", "prompt", "text")


class Requests:
    """Makes the requests of a batch's rows, and the records of their results."""

    def __init__(self, spec: BatchSpec) -> None:
        self.spec = spec
        self._fields = None if spec.prompt is None else prompt_fields(spec.prompt)

    def text(self, row: Row) -> str:
        """The text of a row: its prompt with the fields filled in, or its own.

        Raises:
            LMStudioValueError: It lacks a field, or holds something else there.
        """
        fields = self._fields_of(row)
        if self.spec.prompt is not None and self._fields is not None:
            missing = [name for name in self._fields if name not in fields]
            if missing:
                raise LMStudioValueError(
                    f"The row has no field {missing[0]!r}; it has {_names(fields)}."
                )
            return self.spec.prompt.format_map({n: _shown(fields[n]) for n in self._fields})
        for name in (self.spec.field, *_TEXT_FIELDS[1:], "input"):
            if name in fields:
                if not isinstance(fields[name], str):
                    kind = type(fields[name]).__name__
                    raise LMStudioValueError(f"The row's {name!r} is a {kind}, not a text.")
                return str(fields[name])
        raise LMStudioValueError(
            f"The row has no field {self.spec.field!r}; it has {_names(fields)}. A prompt such as "
            "'Summarise: {field}' says which to use."
        )

    @staticmethod
    def _fields_of(row: Row) -> Mapping[str, Any]:
        if not is_mapping(row.fields):
            raise LMStudioValueError(f"A row is an object, not {type(row.fields).__name__}.")
        return row.fields

    def arguments(self, row: Row) -> tuple[Any, dict[str, Any]]:
        """What ``respond`` or ``complete`` is called with.

        Raises:
            LMStudioValueError: The row cannot be asked.
        """
        spec = self.spec
        if spec.format == "openai":
            return openai.arguments(self._fields_of(row), spec.config)
        options: dict[str, Any] = {"response_format": spec.response_format, "config": spec.config}
        if spec.preset is not None:
            options["preset"] = spec.preset
        if spec.task == "complete":
            return self.text(row), options
        fields = self._fields_of(row)
        if spec.prompt is None and "messages" in fields:
            chat = Chat.from_openai(fields["messages"])
            if spec.system is not None:
                raise LMStudioValueError("The row has messages, and the batch a system prompt.")
            return chat, options
        text = self.text(row)
        if spec.system is None:
            return text, options
        chat = Chat(spec.system)
        chat.add_user_message(text)
        return chat, options

    def record(self, row: Row, result: Any) -> str:
        """The line of the output for a result."""
        if self.spec.format == "openai":
            return json_text(openai.response(row, result))
        if self.spec.task == "embed":
            identity = str(row.position) if row.id is None else json.dumps(row.id)
            return f'{{"id": {identity}, "vector": "{b64encode(float32(result)).decode()}"}}'
        record: dict[str, Any] = {"id": row.position if row.id is None else row.id}
        problems = result.problems
        record["output"] = result.content if problems else result.parsed
        record["error"] = (
            f"The output is not in its format: {'; '.join(problems)}" if problems else None
        )
        if result.reasoning:
            record["reasoning"] = result.reasoning
        if result.tool_calls:
            record["tool_calls"] = [call.to_dict() for call in result.tool_calls]
        stats = result.stats
        record["stop_reason"] = stats.stop_reason
        record["prompt_tokens"] = stats.prompt_tokens_count
        record["predicted_tokens"] = stats.predicted_tokens_count
        return json_text(record)


def error_record(spec: BatchSpec, row: Row, error: BaseException) -> str:
    """The line of the output for a row without a result."""
    if spec.format == "openai":
        return json_text(openai.failure(row, error))
    identity = row.position if row.id is None else row.id
    said = {"type": type(error).__name__, "message": error_text(error)}
    return json_text(
        {"id": identity, "output": None, "error": said["message"], "error_type": said["type"]}
    )


def _names(fields: Mapping[str, Any]) -> str:
    return ", ".join(repr(str(name)) for name in list(fields)[:8]) or "none"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def float32(vector: Sequence[float]) -> bytes:
    """The numbers as little-endian float32: as JSON they would cost more than the request."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
