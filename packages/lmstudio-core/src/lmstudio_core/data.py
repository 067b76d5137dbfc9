"""Base classes for data: strict for what people write, lenient for what servers send."""

from __future__ import annotations

import difflib
import inspect
import json
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast, get_args

import pydantic
from pydantic import ConfigDict, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema, to_jsonable_python
from typing_extensions import Self

from .errors import FieldNameError, LMStudioError, ValidationError
from .lenient import error_text, sendable
from .program.tracebacks import short

__all__ = [
    "AnyLMStudioStruct",
    "BaseModel",
    "InputStruct",
    "Number",
    "SameOnServer",
    "ServerStruct",
    "Struct",
    "field_schema",
    "mended_input",
    "nearest",
    "validation_error",
    "validation_message",
    "without_unknown",
]


logger: Final = logging.getLogger("lmstudio")

Number: TypeAlias = int | float
"""A number of the protocol, which knows one kind of them: a whole one stays an ``int``."""


class SameOnServer:
    """A base for things that a client gives out: equal if they are the same thing of one client.

    Each holds its client as ``_client``.
    """

    def _same(self) -> Hashable:
        """What tells this thing from the others of its class."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        them = cast("SameOnServer", other)
        return self._key() == them._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> Hashable:
        return id(vars(self)["_client"]), self._same()


class BaseModel(pydantic.BaseModel):  # public
    """A base for classes that describe structured output; any pydantic model serves as well.

    Example:
        >>> class Book(BaseModel):
        ...     title: str
        >>> type(model.respond("Name a book.", response_format=Book).value).__name__
        'Book'
    """


class Struct(pydantic.BaseModel):
    """Data of the wire protocol: snake_case attributes here, camelCase keys there.

    Example:
        >>> ModelQuery(domain="llm").to_dict()
        {'domain': 'llm'}
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
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
        # By the type: an assignment would be to checkers a type of its own for each subclass.
        signature = inspect.Signature(
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
        type.__setattr__(cls, "__signature__", signature)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from a dict with camelCase (or snake_case) keys.

        Args:
            data: The keys and values; it is not changed.

        Returns:
            An object of the class.
        """
        return cls.model_validate(data)

    def to_dict(self) -> dict[str, Any]:
        """The dict with camelCase keys that goes over the wire; ``None`` fields are left out."""
        try:
            return self.model_dump(mode="json", by_alias=True, exclude_none=True)
        except UnicodeEncodeError:  # a name of a field with half a character in it
            mended: list[str] = []
            plain = sendable(self.model_dump(by_alias=True, exclude_none=True), mended)
            _tell(type(self), mended)
            return cast("dict[str, Any]", to_jsonable_python(plain))

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __str__(self) -> str:
        return repr(self)


AnyLMStudioStruct = Struct  # public
"""Any data class of this family, whichever side it comes from."""


class ServerStruct(Struct):  # api
    """Data that the server sends.

    Unknown keys are kept, and a value of an unexpected type never fails: an optional field falls
    back to its default and a required one keeps the value as it came.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", frozen=True)

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


class InputStruct(Struct):  # api
    """Data that people write: unknown keys and wrong values are errors that say what to do."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", validate_assignment=True, allow_inf_nan=False
    )

    if not TYPE_CHECKING:  # checkers know the fields as keyword arguments

        @short
        def __init__(self, /, **data: Any) -> None:
            if self.model_config.get("extra") == "ignore":
                # What other programs wrote may hold more; a keyword in a program is a mistake.
                _check_keywords(type(self), data)
            try:
                super().__init__(**data)
            except pydantic.ValidationError as error:
                if (mended := mended_input(type(self), data, error)) is None:
                    raise validation_error(type(self), error, call=True) from error
                self.__init__(**mended)  # type: ignore[misc]

        # pydantic validates nested data without this constructor, as with its own.
        __init__.__pydantic_base_init__ = True

        @short
        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except pydantic.ValidationError as error:
                if (mended := mended_input(type(self), value, error)) is None:
                    raise validation_error(type(self), error) from error
                super().__setattr__(name, mended)

    @classmethod
    @short
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from a dict with camelCase or snake_case keys.

        Args:
            data: The keys and values; it is not changed.

        Returns:
            An object of the class.

        Raises:
            ValidationError: A key is unknown (the nearest known one is named) or a value is
                not of the field's type.
        """
        try:
            return cls.model_validate(data)
        except pydantic.ValidationError as error:
            if (mended := mended_input(cls, data, error)) is None:
                raise validation_error(cls, error) from error
            return cls.model_validate(mended)


def mended_input(cls: type[Any], data: Any, error: pydantic.ValidationError) -> Any:
    """The data with U+FFFD for halves of surrogate pairs, which pydantic does not take.

    Returns:
        ``None`` if there are none: something else is wrong with it.
    """
    mended: list[str] = []
    if any(one["type"] == "string_unicode" for one in error.errors()):
        data = sendable(data, mended)
    if not mended:
        return None
    _tell(cls, mended)
    return data


def _tell(cls: type, mended: Sequence[str]) -> None:
    logger.warning("half a surrogate pair in %s becomes U+FFFD: %r", cls.__name__, mended[0][:80])


def field_schema(
    cls: type[Any], read: Callable[[Any], Any] | None = None, written: Sequence[type] = (dict,)
) -> CoreSchema:  # api
    """What pydantic goes by where ``cls`` is the type of a field; for ``__get_pydantic_core_schema__``.

    An instance is taken as it is, and dumped as what its ``to_dict()`` gives.

    Args:
        cls: A class that is no pydantic model.
        read: Makes an instance of what ``to_dict()`` gave, so that JSON can be read, too.
        written: The types of what ``read`` takes, as they are in JSON.
    """
    known: dict[type, CoreSchema] = {
        str: core_schema.str_schema(),
        list: core_schema.list_schema(),
        dict: core_schema.dict_schema(),
    }
    instance: CoreSchema = core_schema.is_instance_schema(cls)
    source: CoreSchema = core_schema.union_schema([known[form] for form in written])

    def made(value: Any) -> Any:
        if read is None:
            raise ValueError(f"a {cls.__name__} is not made of its dict")
        try:
            return read(value)
        except LMStudioError as error:  # pydantic takes no other for what is wrong with a value
            raise ValueError(error_text(error)) from error

    source = core_schema.no_info_after_validator_function(made, source)
    return core_schema.json_or_python_schema(
        json_schema=source,
        python_schema=core_schema.union_schema([instance, source], mode="left_to_right"),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value: value.to_dict(), return_schema=core_schema.dict_schema()
        ),
    )


def nearest(name: str, known: Iterable[str]) -> str | None:  # api
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


_UNKNOWN: Final = ("extra_forbidden", "no_such_attribute")
_NAMES: Final = (*_UNKNOWN, "missing")


def _check_keywords(cls: type[pydantic.BaseModel], data: Mapping[str, Any]) -> None:
    known = _known_names(cls)
    for name in data:
        if name not in known:
            raise FieldNameError(_unknown_field(cls, (name,), call=True))


def validation_error(
    cls: type[pydantic.BaseModel], error: pydantic.ValidationError, *, call: bool = False
) -> ValidationError:
    """The error of this family for one of pydantic's; a ``FieldNameError`` if names are wrong.

    ``call`` says that the data are the keyword arguments of the class.
    """
    by_name = any(problem["type"] in _NAMES for problem in error.errors())
    kind = FieldNameError if by_name else ValidationError
    return kind(validation_message(cls, error, call=call))


def validation_message(
    cls: type[pydantic.BaseModel], error: pydantic.ValidationError, *, call: bool = False
) -> str:
    """One line per problem: the field, the value and the reason, and the nearest name."""
    lines: list[str] = []
    for problem in error.errors():
        if problem["type"] in _UNKNOWN:
            lines.append(_unknown_field(cls, problem["loc"], call=call))
        else:
            where = ".".join(str(part) for part in problem["loc"])
            lines.append(f"{cls.__name__}.{where} = {problem['input']!r}: {problem['msg']}")
    return "\n".join(lines)


def _unknown_field(
    cls: type[pydantic.BaseModel], loc: Sequence[int | str], *, call: bool = False
) -> str:
    """What is wrong with the name at ``loc`` in the data of ``cls``."""
    name, owner = str(loc[-1]), _class_at(cls, loc)
    known = _known_names(owner)
    if name in known:
        return f"{owner.__name__} is given {name!r} twice, in two spellings"
    if call and len(loc) == 1:
        # In Python's own words: programs look for them to leave out what a version does not know.
        said = f"got an unexpected keyword argument {name!r}"
        return f"{owner.__name__}() {said}{_hint(name, owner)}"
    where = "" if owner is cls else f" of {cls.__name__}"
    return f"{owner.__name__}{where} has no field {name!r}{_hint(name, owner)}"


def _hint(name: str, owner: type[pydantic.BaseModel]) -> str:
    like = nearest(name, _known_names(owner))
    return f"; did you mean {like!r}?" if like else f"; known: {', '.join(owner.model_fields)}"


def _class_at(cls: type[pydantic.BaseModel], loc: Sequence[int | str]) -> type[pydantic.BaseModel]:
    """The class whose field the last part of ``loc`` would be."""
    for part in loc[:-1]:
        for name, field in cls.model_fields.items():
            if part in (name, field.alias):
                cls = next(iter(_models_in(field.annotation)), cls)
                break
    return cls


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def without_unknown(
    cls: type[pydantic.BaseModel], data: Mapping[str, Any], error: pydantic.ValidationError
) -> tuple[dict[str, Any], list[str]]:
    """The data without the keys that ``error`` calls unknown, and a message about each.

    A key that is known and given twice stays: which of the two is meant cannot be told.
    """
    kept: dict[str, Any] = _copied(data)
    left_out: list[str] = []
    for problem in error.errors():
        loc = problem["loc"]
        if problem["type"] in _UNKNOWN and str(loc[-1]) not in _known_names(_class_at(cls, loc)):
            holder: Any = kept
            for part in loc[:-1]:
                # Beside keys and indices, pydantic names the part of a union that it tried.
                inside = isinstance(part, int) or part in holder
                holder = holder[part] if inside else holder
            if loc[-1] in holder:
                del holder[loc[-1]]
                left_out.append(_unknown_field(cls, loc))
    return kept, left_out


def _copied(value: Any) -> Any:
    """Nested dicts and lists as new ones, so that the caller's stay as they are."""
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_copied(part) for part in cast("Sequence[Any]", value)]
    return value
