"""A run as readable text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from lmstudio_core.lenient import json_text
from lmstudio_core.program.terminal import visible
from lmstudio_llm.messages import (
    AnyChatMessage,
    FileHandle,
    TextData,
    ToolCallRequestData,
    ToolResultMessage,
)

if TYPE_CHECKING:
    from .results import ActResult, ToolCallRecord

__all__ = ["arguments_text", "call_text", "summary", "transcript_text"]


def transcript_text(result: ActResult[Any]) -> str:
    """What was said, every call with its result, the numbers."""
    records = list(result.tool_calls)
    lines: list[str] = []
    for message in result.transcript:
        lines += _message_lines(message, records)
    for request in result.pending:
        lines.append(f"  {request.name}({arguments_text(request.arguments)}) waits for its result")
    return visible("\n".join([*lines, "", summary(result)]))


def summary(result: ActResult[Any]) -> str:
    """The numbers of a run in one line."""
    parts = [_counted(result.rounds, "round"), _counted(len(result.tool_calls), "tool call")]
    if total := result.usage.total_tokens:
        parts.append(_counted(total, "token"))
    parts.append(f"{result.total_time_seconds:.2f} s")
    if result.stop_reason:
        parts.append(f"ended with {result.stop_reason}")
    return ", ".join(parts)


def arguments_text(arguments: Mapping[str, Any] | None) -> str:
    """Arguments as a call in Python would have them."""
    return ", ".join(f"{name}={_short_json(value)}" for name, value in (arguments or {}).items())


def call_text(record: ToolCallRecord) -> str:
    """One call and what became of it."""
    arguments = record.arguments if record.changed_arguments is None else record.changed_arguments
    outcome = "" if record.outcome == "ok" else f"{record.outcome}: "
    content = _one_line(record.content)
    return (
        f"{record.name}({arguments_text(arguments)}) → {outcome}{content} "
        f"[{record.duration_seconds:.2f} s]"
    )


def _message_lines(message: AnyChatMessage, records: list[ToolCallRecord]) -> Iterator[str]:
    if isinstance(message, ToolResultMessage):
        for part in message.content:
            record = _record_of(part.tool_call_id, part.content, records)
            if record is None:
                yield f"  {part.name or 'tool'} → {_one_line(part.content)}"
                continue
            yield f"  {call_text(record)}"
            yield from (f"    {kind}: {text}" for kind, text in record.reports)
        return
    said: Sequence[Any] = message.content
    text = "".join(_part_text(part) for part in said if not isinstance(part, ToolCallRequestData))
    if text:
        yield f"{message.role}: {text}"


def _part_text(part: Any) -> str:
    if isinstance(part, TextData):
        return part.text
    return f" [{part.file_type}: {part.name}]" if isinstance(part, FileHandle) else ""


def _record_of(
    call_id: str | None, content: str, records: list[ToolCallRecord]
) -> ToolCallRecord | None:
    for position, record in enumerate(records):
        if (record.call_id, record.content) == (call_id, content):
            return records.pop(position)
    return None


def _short_json(value: Any) -> str:
    return _one_line(json_text(to_jsonable_python(value, fallback=repr)))


def _one_line(text: str, limit: int = 500) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}… ({len(text)} characters)"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
