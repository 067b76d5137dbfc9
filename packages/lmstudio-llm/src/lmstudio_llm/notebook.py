"""Answers and conversations as notebooks show them; what a model wrote is never more than text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from lmstudio_core.program.notebook import html_text
from lmstudio_core.program.terminal import visible

from .chat_parts import part_text
from .messages import AnyChatMessage

__all__ = ["conversation", "fenced", "safe_markdown"]

_FENCE: Final = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)\n"
    r"(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_SPAN: Final = re.compile(r"(?<!`)(?P<ticks>`+)(?!`)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)", re.DOTALL)
_WEB: Final = r"(?!\s*(?:https?://|mailto:|#))"
_UNSAFE: Final = re.compile(
    rf"\](?=\({_WEB})"  # a link that is not to the web: [text](javascript:...)
    rf"|\](?=:{_WEB})"  # the same, defined elsewhere: [name]: javascript:...
    r"|!(?=\[)"  # an image, which is fetched as soon as it is shown
)


def safe_markdown(text: str) -> str:
    """A model's Markdown without HTML, images, or links elsewhere than to the web.

    Its code stays as it is; the rest of what notebooks could obey becomes text.
    """
    found: list[str] = []
    at = 0
    text = visible(text)
    for block in _FENCE.finditer(text):
        found += [_prose(text[at : block.start()]), fenced(block["code"], block["info"])]
        at = block.end()
    return "".join([*found, _prose(text[at:])])


def fenced(code: str, language: str = "") -> str:
    """A block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    named = re.match(r"[\w+#.-]*", language)
    end = "" if not code or code.endswith("\n") else "\n"
    return f"\n{fence}{named[0] if named else ''}\n{code}{end}{fence}\n"


def _prose(text: str) -> str:
    parts: list[str] = []
    at = 0
    for span in _SPAN.finditer(text):
        # As HTML of our own, since in Markdown's code an entity would be shown as it is written.
        code = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in span["code"])
        parts += [_entities(text[at : span.start()]), f"<code>{code}</code>"]
        at = span.end()
    return "".join([*parts, _entities(text[at:])])


def _entities(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"&#{ord(found[0])};", text.replace("<", "&lt;"))


_STYLE: Final = (
    "border-left:3px solid {colour};margin:.5em 0;padding:.1em 0 .1em .8em;"
    "white-space:pre-wrap;overflow-wrap:anywhere"
)
_COLOURS: Final = {"user": "#7b93db", "assistant": "#4caf50", "system": "#999", "tool": "#c90"}
# No colour is meant for a light or a dark page alone: notebooks do not tell which they are.


def conversation(messages: Iterable[AnyChatMessage]) -> str:
    """A chat as HTML: each message with its role."""
    return f"<div>{''.join(_message(message) for message in messages)}</div>"


def _message(message: AnyChatMessage) -> str:
    style = _STYLE.format(colour=_COLOURS.get(message.role, "#999"))
    said = "\n".join(html_text(text) for text in _texts(message))
    return f'<div style="{style}"><b>{html_text(message.role)}</b>\n{said}</div>'


def _texts(message: AnyChatMessage) -> Iterator[str]:
    for part in message.content:
        if text := part_text(part):
            yield text
