"""Settings in the form of the official beta: ``BaseConfigSchema`` and ``config_field``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, TypeVar, cast

from typing_extensions import Self, dataclass_transform

from .data import ConfigSchematics, ConfigSchematicsField
from .errors import init_error
from .sdk_api import plugin_sdk_type
from .setting_values import checked_values

_T = TypeVar("_T")
_CONFIG_FIELDS_KEY: Final = "__kv_config_fields__"


@dataclass(frozen=True)
class _ConfigField:
    """What ``config_field`` gives: a setting that does not know its name yet."""

    label: str
    hint: str
    default: Any

    type_key: ClassVar[str] = ""
    more: ClassVar[Mapping[str, Any]] = {}

    def wire_field(self, name: str) -> ConfigSchematicsField:
        """The field as it goes to the server."""
        return ConfigSchematicsField(
            short_key=name,
            full_key=name,
            type_key=self.type_key,
            type_params={"displayName": self.label, "hint": self.hint, **self.more},
            default_value=self.default,
        )

    _to_kv_field = wire_field  # the official name


@dataclass(frozen=True)
class _ConfigBool(_ConfigField):
    default: bool
    type_key: ClassVar[str] = "boolean"


@dataclass(frozen=True)
class _ConfigInt(_ConfigField):
    default: int
    type_key: ClassVar[str] = "numeric"
    more: ClassVar[Mapping[str, Any]] = {"int": True}


@dataclass(frozen=True)
class _ConfigFloat(_ConfigField):
    default: float
    type_key: ClassVar[str] = "numeric"
    more: ClassVar[Mapping[str, Any]] = {"int": False}


@dataclass(frozen=True)
class _ConfigString(_ConfigField):
    default: str
    type_key: ClassVar[str] = "string"


# bool before int, which it is a kind of.
_KINDS: Final[Mapping[type, type[_ConfigField]]] = {
    bool: _ConfigBool,
    int: _ConfigInt,
    float: _ConfigFloat,
    str: _ConfigString,
}


def config_field(*, label: str, hint: str, default: _T) -> _T:  # public
    """A setting of a ``BaseConfigSchema``; its kind is that of the default.

    Args:
        label: Its name for users.
        hint: What it does.
        default: The value until the user sets one: a bool, a number or a string.

    Raises:
        LMStudioPluginInitError: The default is of another kind. ``PluginConfig`` has more kinds.
    """
    for kind, made in _KINDS.items():
        if isinstance(default, kind):
            given: Any = default
            return cast("_T", made(label, hint, given))
    raise init_error(
        f"config_field(label={label!r}): its default must be a bool, an int, a float or a str, got "
        f"{default!r}. PluginConfig has fields of other kinds.",
        key=label,
        value=default,
    )


class _ImplicitDataClass(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        declared = {k: v for k, v in namespace.items() if isinstance(v, _ConfigField)}
        plain = {k: v.default if k in declared else v for k, v in namespace.items()}
        cls: Any = super().__new__(mcs, name, bases, plain)
        typed = inspect.get_annotations(cls)
        for key in declared:
            if key not in typed:
                raise init_error(
                    f"The setting {name}.{key} has no type; write {key}: "
                    f"{type(declared[key].default).__name__} = config_field(...).",
                    key=key,
                )
        # By name, so that a field that a subclass defines anew is there once, in its place.
        inherited = {f.full_key: f for f in getattr(cls, _CONFIG_FIELDS_KEY, ())}
        own = {key: found.wire_field(key) for key, found in declared.items()}
        setattr(cls, _CONFIG_FIELDS_KEY, tuple({**inherited, **own}.values()))
        return cast("type", dataclass(cls))


@plugin_sdk_type
@dataclass_transform(field_specifiers=(config_field, field))
class BaseConfigSchema(metaclass=_ImplicitDataClass):  # public
    """The base of a plugin's settings, as in the official beta; ``PluginConfig`` has more kinds.

    Example:
        >>> class ConfigSchema(BaseConfigSchema):
        ...     sides: int = config_field(label="Sides", hint="How many sides a die has.", default=6)
    """

    __kv_config_fields__: ClassVar[tuple[ConfigSchematicsField, ...]]

    @classmethod
    def _to_kv_config_schematics(cls) -> ConfigSchematics | None:
        """The fields as they go to the server; ``None`` if there are none."""
        declared = cls.__kv_config_fields__
        return ConfigSchematics(fields_=declared) if declared else None

    @classmethod
    def _default_config(cls) -> dict[str, Any]:
        made: Any = cls()
        return {f.name: getattr(made, f.name) for f in fields(made)}

    @classmethod
    def _parse(cls, dynamic_config: Any) -> Self:
        """Settings made of what the server sends.

        Raises:
            ValidationError: A value does not fit; it names the label and the bounds.
        """
        values = checked_values(cls.__kv_config_fields__, dynamic_config)
        return cls(**{**cls._default_config(), **values})
