"""Values of settings as they come from a server, checked by what the plugin declares."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lmstudio_core.config import kv_values
from lmstudio_core.errors import ValidationError
from lmstudio_core.protocol.setting_kinds import value_problem

from .data import ConfigSchematicsField

__all__ = ["checked_values", "plain_config"]

logger: Final = logging.getLogger("lmstudio")


def plain_config(config: Any) -> Any:
    """A config in the wire's form, also of an object that can tell it."""
    to_dict = getattr(config, "to_dict", None)
    return to_dict() if callable(to_dict) else config


def checked_values(declared: Sequence[ConfigSchematicsField], config: Any) -> Mapping[str, Any]:
    """All settings by their full keys: the values of ``config``, and the defaults of the others.

    A key that is not declared is left out and logged: servers keep settings of older versions.

    Raises:
        ValidationError: Values do not fit; it names each label, key and bounds.
    """
    given = kv_values(plain_config(config))
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in declared:
        value = given.pop(field.full_key, field.default_value)
        problem = value_problem(field.type_key, field.type_params, value)
        if problem is not None:
            label = field.type_params.get("displayName") or field.full_key
            problems.append(f"The setting {label!r} ({field.full_key}) {problem}.")
        values[field.full_key] = value
    if given:
        logger.warning("Settings that this plugin does not have are left out: %s", ", ".join(given))
    if problems:
        raise ValidationError(" ".join(problems))
    return values
