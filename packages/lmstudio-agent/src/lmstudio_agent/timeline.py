"""A run as HTML: rounds, calls with arguments, results and durations. No scripts, nothing fetched."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from lmstudio_core.lenient import json_text
from lmstudio_core.program.notebook import html_text
from lmstudio_llm.messages import AnyChatMessage, FileHandle, TextData

from .display import arguments_text, summary
from .encoding import ToolImage, without_images

if TYPE_CHECKING:
    from lmstudio_llm.results import PredictionRoundResult

    from .results import ActResult, ToolCallRecord

__all__ = ["page", "timeline"]

_STYLE = """
.lms-act{font:14px/1.5 system-ui,sans-serif;max-width:60em;color:inherit}
body>.lms-act{margin:1.5em auto;padding:0 1em}
.lms-act pre{white-space:pre-wrap;overflow-wrap:anywhere;max-height:20em;overflow:auto;
margin:.3em 0;padding:.5em .7em;background:rgba(127,127,127,.13);border-radius:6px;
font:12px/1.5 ui-monospace,monospace;color:inherit}
.lms-act .said{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0}
.lms-act .role{font-weight:600;opacity:.7;font-size:12px;margin-top:.5em}
.lms-act .round{border-left:3px solid #7b93db;margin:1em 0;padding:.1em 0 .1em 1em}
.lms-act .round.last{border-color:#4caf50}
.lms-act .call{margin:.6em 0;padding:.5em .7em;border:1px solid rgba(127,127,127,.35);
border-radius:8px}
.lms-act .call.bad{border-color:#e05252}
.lms-act code{font:12px ui-monospace,monospace;background:none;padding:0;color:inherit;
overflow-wrap:anywhere}
.lms-act .tag{font-size:12px;opacity:.7;margin-left:.6em;white-space:nowrap}
.lms-act .tag.outcome{color:#e05252;opacity:1;font-weight:600}
.lms-act .bar{height:4px;background:rgba(127,127,127,.2);border-radius:2px;margin:.4em 0}
.lms-act .bar i{display:block;height:4px;min-width:2px;background:#7b93db;border-radius:2px}
.lms-act .bad .bar i{background:#e05252}
.lms-act img{display:block;max-width:100%;max-height:16em;border-radius:6px;margin:.4em 0}
.lms-act summary{cursor:pointer;opacity:.7;font-size:12px}
.lms-act footer{opacity:.7;font-size:12px;margin-top:1em}
"""
# No colour is meant for a light or a dark page alone: notebooks do not tell which they are.

_SHORT = 80
"""Characters of arguments that one line shows well enough."""

_LONGEST = 160
"""Characters of arguments or of a result in one line."""

_LARGEST = 4_000_000
"""Bytes of an image that is shown."""

_BEGINNINGS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
"""How the files of images begin."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
style-src 'unsafe-inline'">
<title>{title}</title></head><body>
{body}
</body></html>
"""


def page(result: ActResult[Any], title: str) -> str:
    """The timeline as a page of its own."""
    return _PAGE.format(title=html_text(title), body=timeline(result))


def timeline(result: ActResult[Any]) -> str:
    """The run as a piece of HTML with its own style."""
    given = result.transcript[: result.given_messages]
    parts = [_message(message) for message in given]
    longest = max((record.duration_seconds for record in result.tool_calls), default=0.0)
    for position, prediction in enumerate(result.predictions):
        calls = [r for r in result.tool_calls if r.round_index == prediction.round_index]
        is_last = position == len(result.predictions) - 1
        parts.append(_round(prediction, calls, longest, is_last=is_last))
    for request in result.pending:
        call = _call_line(request.name, request.arguments)
        parts.append(f'<div class="call">{call}{_tag("waits for its result")}</div>')
    parts.append(f"<footer>{html_text(summary(result))}</footer>")
    return f'<div class="lms-act"><style>{_STYLE}</style>{"".join(parts)}</div>'


def _tag(text: str, kind: str = "") -> str:
    return f'<span class="tag {kind}">{html_text(text)}</span>'


def _message(message: AnyChatMessage) -> str:
    said: Sequence[Any] = message.content
    text = "".join(
        part.text
        if isinstance(part, TextData)
        else f" [{part.file_type}: {part.name}]"
        if isinstance(part, FileHandle)
        else str(getattr(part, "content", ""))
        for part in said
    )
    if not text:
        return ""
    role = html_text(message.role)
    return f'<div class="role">{role}</div><div class="said">{html_text(text)}</div>'


def _round(
    prediction: PredictionRoundResult[Any],
    calls: Iterable[ToolCallRecord],
    longest: float,
    *,
    is_last: bool,
) -> str:
    tags = [f"round {prediction.round_index}"]
    stats = prediction.stats
    if stats.predicted_tokens_count:
        tags.append(f"{stats.predicted_tokens_count} tokens")
    if stats.total_time_sec:
        tags.append(f"{stats.total_time_sec:.2f} s")
    head = f'<div class="role">{html_text(", ".join(tags))}</div>'
    thoughts = _folded("reasoning", prediction.reasoning) if prediction.reasoning else ""
    said = f'<div class="said">{html_text(prediction.content)}</div>' if prediction.content else ""
    made = "".join(_call(record, longest) for record in calls)
    last = " last" if is_last else ""
    return f'<div class="round{last}">{head}{thoughts}{said}{made}</div>'


def _call(record: ToolCallRecord, longest: float) -> str:
    arguments = record.arguments if record.changed_arguments is None else record.changed_arguments
    share = round(100 * record.duration_seconds / longest) if longest > 0 else 0
    bad = "" if record.outcome == "ok" else " bad"
    is_long = len(arguments_text(arguments)) > _SHORT
    details = [_folded("arguments", _json(arguments))] if is_long else []
    if record.changed_arguments is not None:
        details.append(_folded("arguments that the model wrote", _json(record.arguments)))
    details += [f"<pre>{html_text(f'{kind}: {said}')}</pre>" for kind, said in record.reports]
    return (
        f'<div class="call{bad}">{_call_line(record.name, arguments)}'
        f"{_tag(f'{record.duration_seconds:.2f} s')}"
        f"{_tag(record.outcome, 'outcome') if bad else ''}"
        f'<div class="bar"><i style="width:{share}%"></i></div>'
        f"<pre>{html_text(_readable(record.content))}</pre>{_pictures(record)}"
        f"{''.join(details)}</div>"
    )


def _call_line(name: str, arguments: Mapping[str, Any] | None) -> str:
    given = arguments_text(arguments)
    if len(given) > _LONGEST:
        given = f"{given[:_LONGEST]}…"
    return f"<code><b>{html_text(name)}</b>{html_text(f'({given})')}</code>"


def _readable(content: str) -> str:
    """What a tool gave, which the model gets as JSON: a text as it is, the rest over some lines."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if isinstance(value, str):
        return value
    plain = json_text(value)
    return plain if len(plain) <= _LONGEST else _json(value)


def _pictures(record: ToolCallRecord) -> str:
    """The images that a tool gave, as far as they are at hand."""
    _, images = without_images(record.result)
    found = ""
    for image in images:
        data = image.source if isinstance(image, ToolImage) else None
        if not isinstance(data, bytes) or len(data) > _LARGEST:
            continue
        kinds = [kind for begins, kind in _BEGINNINGS.items() if data.startswith(begins)]
        if kinds:
            source = f"data:image/{kinds[0]};base64,{base64.b64encode(data).decode()}"
            found += f'<img alt="" src="{source}">'
    return found


def _folded(name: str, text: str) -> str:
    return f"<details><summary>{html_text(name)}</summary><pre>{html_text(text)}</pre></details>"


def _json(value: Any) -> str:
    return json_text(to_jsonable_python(value, fallback=repr), indent=2)
