"""Configuration objects and the key-value form in which they travel.

A field of a config class names its key with ``KV``::

    class Mine(ConfigModel):
        temperature: Annotated[float | None, KV("llm.prediction.temperature")] = None
        max_tokens: Annotated[int | Literal[False] | None,
                              KV("llm.prediction.maxPredictedTokens", checkbox=1)] = None

``None`` always means "not set". A *checkbox* key travels as ``{"checked": …, "value": …}``;
``False`` turns it off, with the checkbox's filler as the value that the wire form demands.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import ValidationError
from typing_extensions import Self

from .data import InputStruct, mended_input, validation_error, without_unknown
from .errors import LMStudioUnknownSettingWarning, LMStudioValueError
from .lenient import as_list, as_mapping, is_mapping
from .program.tracebacks import warn_caller

__all__ = [
    "KV",
    "AnyLoadConfig",
    "ConfigModel",
    "config_stack",
    "kv_config",
    "kv_values",
    "stack_values",
]

_NO_CHECKBOX: Final = object()


@dataclass(frozen=True)
class KV:  # api
    """Which key a config field travels under; ``checkbox`` is the filler value for ``False``."""

    key: str
    checkbox: Any = _NO_CHECKBOX

    def encode(self, value: Any) -> Any:
        """The wire form of a set value."""
        if self.checkbox is _NO_CHECKBOX:
            return value
        if value is False:
            return {"checked": False, "value": self.checkbox}
        return {"checked": True, "value": value}

    def decode(self, value: Any) -> Any:
        """The config value of a wire form; what is not a checkbox is taken as it is."""
        if self.checkbox is _NO_CHECKBOX or not is_mapping(value):
            return value
        return value.get("value") if value.get("checked") else False


def kv_config(values: Mapping[str, Any]) -> dict[str, Any]:  # api
    """``{"fields": [{"key": …, "value": …}, …]}`` of a plain mapping."""
    return {"fields": [{"key": key, "value": value} for key, value in values.items()]}


def kv_values(config: Any) -> dict[str, Any]:  # api
    """The plain mapping of a ``kvConfig`` that a server sent; what is malformed is left out."""
    fields = [as_mapping(field) for field in as_list(as_mapping(config).get("fields"))]
    return {f["key"]: f.get("value") for f in fields if isinstance(f.get("key"), str)}


def config_stack(*layers: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:  # api
    """A ``kvConfigStack`` of (layer name, values) pairs; later layers override earlier ones."""
    return {"layers": [{"layerName": name, "config": kv_config(values)} for name, values in layers]}


def stack_values(stack: Any) -> dict[str, Any]:
    """All values of a ``kvConfigStack`` as it travels, the later layers over the earlier ones."""
    values: dict[str, Any] = {}
    for layer in as_list(as_mapping(stack).get("layers")):
        values.update(kv_values(as_mapping(layer).get("config")))
    return values


@functools.cache
def _keys_of(config: type[ConfigModel]) -> Sequence[tuple[str, KV]]:
    """The fields that have a key; looked up once, since every prediction tells two configs."""
    return [
        (name, meta)
        for name, field in config.model_fields.items()
        for meta in field.metadata
        if isinstance(meta, KV)
    ]


@functools.cache
def _fields_of(config: type[ConfigModel]) -> Mapping[str, Sequence[tuple[str, KV]]]:
    """The same by key: a server tells few of the many."""
    fields: dict[str, list[tuple[str, KV]]] = {}
    for name, kv in _keys_of(config):
        fields.setdefault(kv.key, []).append((name, kv))
    return fields


class ConfigModel(InputStruct):  # api
    """The base of all configs and of the structured values in them.

    Made of keyword arguments, a dict in either spelling, or itself.

    Example:
        >>> LlmLoadModelConfig.parse({"contextLength": 512})
        LlmLoadModelConfig(context_length=512)
    """

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, value) for name, value in super().__repr_args__() if value is not None)

    def __str__(self) -> str:
        return repr(self)

    @classmethod
    def _keys(cls) -> Iterable[tuple[str, KV]]:
        return _keys_of(cls)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from a dict with camelCase or snake_case keys.

        Programs share such dicts among versions and kinds of models, so a key that is unknown
        here is left out with an ``LMStudioUnknownSettingWarning``; the class itself takes none.

        Args:
            data: The keys and values; it is not changed.

        Returns:
            The config.

        Raises:
            ValidationError: A value is not of the field's type, or a key is given twice.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            kept, left_out = without_unknown(cls, data, error)
            if not left_out:
                if (mended := mended_input(cls, data, error)) is None:
                    raise validation_error(cls, error) from error
                return cls.from_dict(mended)
        for message in left_out:
            warn_caller(f"A setting was left out: {message}", LMStudioUnknownSettingWarning)
        return cls.from_dict(kept)

    @classmethod
    def parse(cls, config: Self | Mapping[str, Any] | None) -> Self:
        """The config object of whatever a caller passed; ``None`` is an empty config.

        Args:
            config: A config object, a mapping with keys in either spelling, or ``None``.

        Returns:
            The config; the same object if it is one already.

        Raises:
            LMStudioValueError: A value is wrong, or ``config`` is of a wrong type.
        """
        if config is None:
            return cls()
        if isinstance(config, cls):
            return config
        if isinstance(config, Mapping):
            return cls.from_dict(config)
        raise LMStudioValueError(
            f"config must be a dict or of the class {cls.__name__}, not {type(config).__name__}."
        )

    def to_kv(self) -> dict[str, Any]:
        """Every set field as key and wire value. Subclasses add what is more than a copy."""
        return {
            kv.key: kv.encode(_plain(value))
            for name, kv in self._keys()
            if (value := getattr(self, name)) is not None
        }

    @classmethod
    def from_kv(cls, values: Mapping[str, Any]) -> Self:
        """The config that a server's values describe; unknown keys and values are skipped.

        Args:
            values: The server's keys and their values.

        Returns:
            The config.
        """
        return cls.lenient(cls._decoded(values))

    @classmethod
    def _decoded(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a server's values are of, unchecked."""
        fields = _fields_of(cls)
        return {
            name: kv.decode(value)
            for key, value in values.items()
            for name, kv in fields.get(key, ())
        }

    @classmethod
    def lenient(cls, found: dict[str, Any]) -> Self:
        """A config of what is valid in ``found``; the rest is left out.

        Args:
            found: Values by the names of fields.

        Returns:
            The config.
        """
        while True:
            try:
                return cls.model_validate(found)
            except ValidationError as error:
                bad = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
                kept = {k: v for k, v in found.items() if k not in bad}
                if len(kept) == len(found):
                    raise
                found = kept


AnyLoadConfig = ConfigModel  # public
"""The load config of any kind of model."""


def _plain(value: Any) -> Any:
    if isinstance(value, InputStruct):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value
