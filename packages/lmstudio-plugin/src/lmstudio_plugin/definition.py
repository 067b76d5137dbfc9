"""What a plugin offers: its hooks and its settings' classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from .config_schemas import BaseConfigSchema
from .errors import init_error
from .settings import PluginConfig

__all__ = ["HOOK_FUNCTIONS", "Definition", "Hook", "checked_schema"]

Hook = Literal["prompt_preprocessor", "prediction_loop", "tools_provider", "generator"]

HOOK_FUNCTIONS: Final[Mapping[str, Hook]] = {
    "generate_tokens": "generator",
    "list_provided_tools": "tools_provider",
    "preprocess_prompt": "prompt_preprocessor",
    "run_prediction_loop": "prediction_loop",
}
"""The names under which a module's functions are hooks; the last is not the official SDK's."""


@dataclass(frozen=True)
class Definition:
    """What a plugin offers.

    Raises:
        LMStudioPluginInitError: It has both a prediction loop and tools.
    """

    hooks: Mapping[Hook, Callable[..., Any]]
    config: Any = field(default=BaseConfigSchema)
    global_config: Any = field(default=BaseConfigSchema)

    def __post_init__(self) -> None:
        if {"prediction_loop", "tools_provider"} <= self.hooks.keys():
            raise init_error(
                "A plugin has either a prediction loop or tools: with a loop, nobody calls its tools.",
                key="prediction_loop",
            )


def checked_schema(name: str, given: Any, file: Path | None = None) -> Any:
    """The settings' class, or that of none.

    Raises:
        LMStudioPluginInitError: It is no such class.
    """
    if given is None:
        return BaseConfigSchema
    if inspect.isclass(given) and issubclass(given, (BaseConfigSchema, PluginConfig)):
        return given
    raise init_error(
        f"{name} must be a class derived from PluginConfig or BaseConfigSchema, got {given!r}.",
        file=file,
        key=name,
        value=given,
    )
