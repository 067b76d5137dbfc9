"""Base classes for data: strict for what people write, lenient for what servers send."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pydantic
from pydantic import ConfigDict, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from typing_extensions import Self

from .errors import ValidationError
from .tracebacks import short

__all__ = [
    "AnyLMStudioStruct",
    "BaseModel",
    "InputStruct",
    "Number",
    "ServerStruct",
    "Struct",
    "nearest",
    "validation_message",
]


Number: TypeAlias = int | float
"""A number of the protocol, which knows one kind of them: a whole one stays an ``int``."""


class BaseModel(pydantic.BaseModel):
    """A base for classes that describe structured output; any pydantic model serves as well."""


class Struct(pydantic.BaseModel):
    """Data of the wire protocol: snake_case attributes here, camelCase keys there."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        protected_namespaces=(),
        arbitrary_types_allowed=True,
        serialize_by_alias=True,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # ``help()`` and editors show the names to write in Python, not those of the wire.
        cls.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.is_required() else field.default,
                    annotation=field.annotation,
                )
                for name, field in cls.model_fields.items()
            ]
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from a dict with camelCase (or snake_case) keys."""
        return cls.model_validate(data)

    def to_dict(self) -> dict[str, Any]:
        """The dict with camelCase keys that goes over the wire; ``None`` fields are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def __str__(self) -> str:
        return repr(self)


AnyLMStudioStruct = Struct
"""Any data class of this family, whichever side it comes from."""


class ServerStruct(Struct):
    """Data that the server sends.

    Unknown keys are kept, and a value of an unexpected type never fails: an optional field falls
    back to its default and a required one keeps the value as it came.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _tolerate(cls, value: Any, handler: Callable[[Any], Any], info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except pydantic.ValidationError:
            field = cls.model_fields[info.field_name or ""]
            return value if field.is_required() else field.get_default(call_default_factory=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.from_dict({self.to_dict()!r})"


class InputStruct(Struct):
    """Data that people write: unknown keys and wrong values are errors that say what to do."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # checkers know the fields as keyword arguments

        @short
        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
            except pydantic.ValidationError as error:
                raise ValidationError(validation_message(type(self), error)) from error

        # pydantic validates nested data without this constructor, as with its own.
        __init__.__pydantic_base_init__ = True

        @short
        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except pydantic.ValidationError as error:
                raise ValidationError(validation_message(type(self), error)) from error

    @classmethod
    @short
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from a dict with camelCase or snake_case keys.

        Raises:
            ValidationError: A key is unknown (the nearest known one is named) or a value is
                not of the field's type.
        """
        try:
            return cls.model_validate(data)
        except pydantic.ValidationError as error:
            raise ValidationError(validation_message(cls, error)) from error


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or the shortest that it is a part of; case does not count.

    >>> nearest("top_k", ["top_p_sampling", "top_k_sampling"])
    'top_k_sampling'
    """
    by_lower, wanted = {k.lower(): k for k in known}, name.lower()
    found = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.6)
    if not found and len(wanted) > 2:
        longer = [k for k in by_lower if wanted in k]
        found = sorted(longer, key=lambda k: (not k.startswith(wanted), len(k)))
    return by_lower[found[0]] if found else None


def _known_names(cls: type[pydantic.BaseModel]) -> list[str]:
    names: list[str] = []
    for name, field in cls.model_fields.items():
        names.append(name)
        if field.alias:
            names.append(field.alias)
    return names


def validation_message(cls: type[pydantic.BaseModel], error: pydantic.ValidationError) -> str:
    """One line per problem: the field, the value and the reason, and the nearest name."""
    lines: list[str] = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in ("extra_forbidden", "no_such_attribute"):
            known = _known_names(cls)
            if where in known:
                lines.append(f"{cls.__name__} is given {where!r} twice, in two spellings")
                continue
            like = nearest(where, known)
            hint = (
                f"; did you mean {like!r}?" if like else f"; known: {', '.join(cls.model_fields)}"
            )
            lines.append(f"{cls.__name__} has no field {where!r}{hint}")
        else:
            lines.append(f"{cls.__name__}.{where} = {problem['input']!r}: {problem['msg']}")
    return "\n".join(lines)
