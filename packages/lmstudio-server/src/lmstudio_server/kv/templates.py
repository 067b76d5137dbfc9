"""Prompt templates given in a configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from . import stack

__all__ = ["Template", "is_plain_concatenation", "manual_to_jinja", "read_template"]


@dataclass(frozen=True)
class Template:
    """A template that replaces the model's own for one request."""

    jinja: str
    stop_strings: list[str]


def read_template(value: Any) -> Template | None:
    """The template of a ``promptTemplate`` value, if it holds one that can be used."""
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, Any]", value)
    stops = stack.strings(given.get("stopStrings"))
    if given.get("type") == "jinja":
        inner = given.get("jinjaPromptTemplate")
        text = cast("dict[str, Any]", inner).get("template") if isinstance(inner, dict) else None
        return Template(text, stops) if isinstance(text, str) and text else None
    manual = given.get("manualPromptTemplate")
    if given.get("type") == "manual" and isinstance(manual, dict):
        return Template(manual_to_jinja(cast("dict[str, Any]", manual)), stops)
    return None


def manual_to_jinja(parts: dict[str, Any]) -> str:
    """The Jinja form of the older "before and after each role" templates."""

    def quoted(key: str) -> str:
        value = parts.get(key)
        return json.dumps(value if isinstance(value, str) else "", ensure_ascii=False)

    def turn(role: str) -> str:
        return (
            "{{ " + quoted(f"before{role}") + " }}{{ message['content'] }}{{ "
            + quoted(f"after{role}") + " }}"
        )  # fmt: skip

    return (
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}" + turn("System")
        + "{% elif message['role'] == 'assistant' %}" + turn("Assistant")
        + "{% else %}" + turn("User")
        + "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ " + quoted("beforeAssistant") + " }}{% endif %}"
    )  # fmt: skip


def is_plain_concatenation(template: str) -> bool:
    """Whether a template only writes the messages' texts one after the other.

    Clients without ``completeRawText`` send a raw prompt as a chat with such a template; it needs
    no template engine, and none should get the chance to touch the prompt.
    """
    compact = "".join(template.split()).replace('"', "'").replace("-%}", "%}").replace("{%-", "{%")
    compact = compact.replace("{{-", "{{").replace("-}}", "}}")
    compact = compact.replace("message['content']", "message.content")
    return compact == "{%formessageinmessages%}{{message.content}}{%endfor%}"
