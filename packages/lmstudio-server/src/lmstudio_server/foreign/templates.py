"""Rendering a chat template that a request or a model's file brings, in a process of its own.

llama.cpp renders a model's own template; it takes no other with a request.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["perform"]


def perform(task: dict[str, Any], _progress: object = None) -> str:
    """Return what ``task["template"]`` makes of ``task["variables"]``; raises whatever it does."""
    return _compiled(task["template"]).render(**task["variables"])


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    # The settings chat templates are written for.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    functions: dict[str, Any] = {"raise_exception": _refuse, "strftime_now": _now}
    environment.globals.update(functions)
    return environment.from_string(template)


def _to_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML, which a model has never seen in a prompt.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
