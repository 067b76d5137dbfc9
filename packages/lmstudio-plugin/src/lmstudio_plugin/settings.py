"""A plugin's settings as a pydantic model: checked where it is defined, and whenever values come."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Union, cast, get_args, get_origin

import pydantic
from pydantic import ConfigDict, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticUndefined, core_schema
from typing_extensions import Self

from lmstudio_core.data import validation_error
from lmstudio_core.protocol.setting_kinds import value_problem

from .data import ConfigSchematics, ConfigSchematicsField
from .errors import init_error
from .setting_values import checked_values


@dataclass(frozen=True)
class Setting:  # public
    """How a setting looks in LM Studio; goes into ``Annotated`` beside the type.

    Args:
        label: Its name for users; by default made of the field's.
        hint: What it does, shown on demand.
        subtitle: A line below the name.
        warning: Shown as a warning.
        experimental: Marked as experimental.
        hidden: Not configurable by users.
        machine_dependent: Its value is not carried to other machines.
        model_centric: It belongs to the model rather than to the chat.
        unsupported: The engine does not support it.
        depends_on: When it is shown: ``(key, value)``, ``(key, "!=", value)``, or a list of these.
        slider: ``(least, most, step)`` of a slider, for numbers.
        step: The step of a number's buttons.
        precision: Digits after the point, for ``float``.
        short_hand: A short name, for numbers.
        paragraph: Several lines, for ``str``.
        secret: Not shown on the screen, for ``str``.
        token: It is an access token, for ``str``.
        placeholder: Shown while it is empty, for ``str``.
        names: Value → what users see, for choices.
        max_items: The most items, for ``list[str]``.
        allow_empty: Items may be empty, for ``list[str]``.
        access: What the plugin does in the folder: ``"read"``, ``"readWrite"`` or ``"none"``.
    """

    label: str | None = None
    hint: str | None = None
    subtitle: str | None = None
    warning: str | None = None
    experimental: bool | None = None
    hidden: bool | None = None
    machine_dependent: bool | None = None
    model_centric: bool | None = None
    unsupported: bool | None = None
    depends_on: Sequence[Any] = ()
    slider: tuple[float, float, float] | None = None
    step: float | None = None
    precision: int | None = None
    short_hand: str | None = None
    paragraph: bool | None = None
    secret: bool | None = None
    token: bool | None = None
    placeholder: str | None = None
    names: Mapping[str, str] | None = None
    max_items: int | None = None
    allow_empty: bool | None = None
    access: Literal["read", "readWrite", "none"] | None = None


class Directory(str):  # public
    """The path of a folder that the user chose; empty until one is chosen."""

    __slots__ = ()

    @property
    def path(self) -> Path | None:
        """The folder, or ``None`` if none is chosen."""
        return Path(self) if self else None

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


class _Checked(type(pydantic.BaseModel)):  # type: ignore[misc] # pydantic's metaclass is public by this alone
    """Says what is missing where pydantic alone would raise an error that is none of the family's."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **more: Any
    ) -> Any:
        try:
            return super().__new__(mcs, name, bases, namespace, **more)
        except PydanticUserError as error:
            raise init_error(
                f"The settings {name} cannot be read: {error.message}", key=name
            ) from error


class PluginConfig(pydantic.BaseModel, metaclass=_Checked):  # public
    """The base of a plugin's settings: one field for each, with a type and a default.

    ``bool``, ``int``, ``float``, ``str``, ``Literal`` and ``Enum`` of strings, ``list[str]``,
    ``Directory`` and ``list[Directory]`` become LM Studio's kinds of fields; another ``PluginConfig``
    becomes a group. ``Field(ge=…, le=…)`` and ``min_length``, ``max_length`` are their bounds.

    Raises:
        LMStudioPluginInitError: When a subclass is defined: a field has no type or default, a type that
            LM Studio has no field for, or a default that its own bounds forbid.

    Example:
        >>> class Settings(PluginConfig):
        ...     sides: int = 6  # or Annotated[int, Setting("Sides", slider=(4, 100, 1))]
        >>> Settings().sides
        6
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), frozen=True)
    __schematics__: ClassVar[tuple[ConfigSchematicsField, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__schematics__ = tuple(_schematics_of(cls, ""))

    @classmethod
    def _to_kv_config_schematics(cls) -> ConfigSchematics | None:
        """The fields as they go to the server; ``None`` if there are none."""
        return ConfigSchematics(fields_=cls.__schematics__) if cls.__schematics__ else None

    @classmethod
    def _default_config(cls) -> dict[str, Any]:
        return {field.full_key: field.default_value for field in cls.__schematics__}

    @classmethod
    def _parse(cls, dynamic_config: Any) -> Self:
        """Settings made of what the server sends.

        Raises:
            ValidationError: A value does not fit; it names the label and the bounds.
        """
        nested: dict[str, Any] = {}
        for key, value in checked_values(cls.__schematics__, dynamic_config).items():
            *groups, name = key.split(".")
            place = nested
            for group in groups:
                place = place.setdefault(group, {})
            place[name] = value
        try:
            return cls.model_validate(nested)
        except pydantic.ValidationError as error:
            raise validation_error(cls, error) from error


_COMMON: Final = {
    "hint": "hint",
    "subtitle": "subtitle",
    "warning": "warning",
    "experimental": "isExperimental",
    "hidden": "nonConfigurable",
    "machine_dependent": "machineDependent",
    "model_centric": "modelCentric",
    "unsupported": "engineDoesNotSupport",
}
_OF_KIND: Final[Mapping[str, Mapping[str, str]]] = {
    "numeric": {"step": "step", "precision": "precision", "short_hand": "shortHand"},
    "string": {
        "paragraph": "isParagraph",
        "secret": "isProtected",
        "token": "isToken",
        "placeholder": "placeholder",
    },
    "select": {},
    "boolean": {},
    "stringArray": {"max_items": "maxNumItems", "allow_empty": "allowEmptyStrings"},
    "directory": {"access": "accessPermission"},
    "directoryGroup": {"access": "accessPermission"},
}
_BY_HAND: Final = {"label", "depends_on", "slider", "names"}


def _schematics_of(cls: type[PluginConfig], prefix: str) -> Iterator[ConfigSchematicsField]:
    for name, field in cls.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, PluginConfig):
            for found in inner.__schematics__:
                key = f"{prefix}{name}.{found.full_key}"
                yield found.model_copy(update={"short_key": key, "full_key": key})
        else:
            yield _field(cls, f"{prefix}{name}", field)


def _field(cls: type[PluginConfig], key: str, field: FieldInfo) -> ConfigSchematicsField:
    where = f"The setting {cls.__name__}.{key}"
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        raise init_error(f"{where} has no default; give it one: LM Studio shows it.", key=key)
    setting = next((m for m in field.metadata if isinstance(m, Setting)), Setting())
    kind, parameters = _kind(where, key, field.annotation, setting)
    if setting.label is None:
        setting = replace(setting, label=key.replace("_", " ").capitalize())
    parameters |= _told(where, key, kind, setting) | _bounds(kind, field)
    value = _plain(default)
    problem = value_problem(kind, parameters, value)
    if problem is not None:
        raise init_error(f"{where}: its default {problem}.", key=key, value=value)
    return ConfigSchematicsField(
        short_key=key, full_key=key, type_key=kind, type_params=parameters, default_value=value
    )


def _kind(where: str, key: str, annotation: Any, setting: Setting) -> tuple[str, dict[str, Any]]:
    """LM Studio's kind of field for a type, and the parameters that the type settles."""
    simple: Any = {bool: "boolean", float: "numeric", str: "string", Directory: "directory"}
    if annotation is int:
        return "numeric", {"int": True}
    if isinstance(annotation, type) and annotation in simple:
        return simple[annotation], {}
    if get_origin(annotation) in (list, Sequence):
        (item,) = get_args(annotation) or (None,)
        if item in (str, Directory):
            return ("stringArray" if item is str else "directoryGroup"), {}
    options = _options(annotation)
    if options:
        names = setting.names or {}
        shown = [{"value": o, "displayName": names[o]} if o in names else o for o in options]
        return "select", {"options": shown}
    optional = get_origin(annotation) in (Union, types.UnionType)
    raise init_error(
        f"{where} has the type {annotation!r}, which LM Studio has no field for; use bool, int, float, "
        "str, Literal or Enum of strings, list[str], Directory, list[Directory] or a PluginConfig"
        + (" (None is not possible: choose a default that means it)." if optional else "."),
        key=key,
        value=annotation,
    )


def _options(annotation: Any) -> list[str]:
    values: Sequence[Any] = ()
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = [member.value for member in annotation]
    return list(values) if all(isinstance(value, str) and value for value in values) else []


def _told(where: str, key: str, kind: str, setting: Setting) -> dict[str, Any]:
    """What the ``Setting`` says, under the wire's names."""
    told: dict[str, Any] = {"displayName": setting.label}
    known = {**_COMMON, **_OF_KIND[kind]}
    for field in fields(setting):
        value = getattr(setting, field.name)
        if value is None or field.name in _BY_HAND:
            continue
        if field.name not in known:
            raise init_error(
                f"{where}: {field.name}= is not for settings of the kind {kind}.",
                key=key,
                value=value,
            )
        told[known[field.name]] = value
    if setting.slider is not None and kind == "numeric":
        told["slider"] = dict(zip(("min", "max", "step"), setting.slider, strict=True))
    if setting.depends_on:
        told["dependencies"] = [_dependency(where, key, d) for d in _listed(setting.depends_on)]
    return told


def _listed(depends_on: Sequence[Any]) -> Sequence[Any]:
    return [depends_on] if isinstance(depends_on[0], str) else depends_on


def _dependency(where: str, key: str, given: Any) -> dict[str, Any]:
    match given:
        case (str(other), value):
            condition = {"type": "equals", "value": _plain(value)}
        case (str(other), "!=", value):
            condition = {"type": "notEquals", "value": _plain(value)}
        case _:
            raise init_error(
                f"{where}: depends_on is (key, value), (key, '!=', value) or a list of these, not {given!r}.",
                key=key,
                value=given,
            )
    return {"key": other, "condition": condition}


def _bounds(kind: str, field: FieldInfo) -> dict[str, Any]:
    """Those of ``Field(...)`` that LM Studio knows, too."""
    names = {
        "numeric": {"ge": "min", "le": "max"},
        "string": {"min_length": "minLength", "max_length": "maxLength"},
        "stringArray": {"max_length": "maxNumItems"},
    }
    found: dict[str, Any] = {}
    for name, wire in names.get(kind, {}).items():
        for note in field.metadata:
            if (bound := getattr(note, name, None)) is not None:
                found[wire] = bound
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return str(value) if isinstance(value, Directory) else value
