"""What both HTTP APIs have in their requests. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import invalid, invalid_body

__all__ = [
    "Body",
    "Bool",
    "Count",
    "Limit",
    "Number",
    "Object",
    "Positive",
    "Seconds",
    "Share",
    "Text",
    "Whole",
    "read",
]


class Body(BaseModel):
    """Base of all bodies: no conversions, null means "not given", unknown keys are dropped."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="ignore", protected_namespaces=()
    )


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_limit(value: Any) -> Any:
    # LM Studio's own examples ask for "max_tokens": -1, which is to say for no limit.
    return None if value == -1 else _whole(value)


Text: TypeAlias = str | None
Bool: TypeAlias = bool | None
Number: TypeAlias = Annotated[float | None, Field(allow_inf_nan=False)]
Whole: TypeAlias = Annotated[int | None, BeforeValidator(_whole)]
Count: TypeAlias = Annotated[int | None, Field(ge=0), BeforeValidator(_whole)]
Positive: TypeAlias = Annotated[int | None, Field(ge=1, le=2**31 - 1), BeforeValidator(_whole)]
Limit: TypeAlias = Annotated[
    Annotated[int, Field(ge=1, le=2**31 - 1)] | None, BeforeValidator(_no_limit)
]
Share: TypeAlias = Annotated[float | None, Field(ge=0, le=1)]
Seconds: TypeAlias = Annotated[float | None, Field(gt=0, le=10**9)]
Object: TypeAlias = dict[str, Any] | None

B = TypeVar("B", bound=Body)


def read(kind: type[B], data: object) -> B:
    """Check the body of a request.

    Raises:
        DoorError: It is not one; the message names the first field that is wrong.
    """
    if not isinstance(data, dict):
        raise invalid("The body has to be a JSON object.")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid_body(error) from error


def is_object(value: object) -> Mapping[str, Any] | None:
    """The value if it is a JSON object."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
