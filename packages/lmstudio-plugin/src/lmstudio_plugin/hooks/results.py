"""What a tool returned, as JSON that every side can read."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, cast

from pydantic_core import PydanticSerializationError, to_jsonable_python

from lmstudio_core.lenient import error_text

from ..errors import LMStudioPluginRuntimeError

__all__ = ["MAX_RESULT", "encoded_result"]

MAX_RESULT: Final = 16 * 1024 * 1024
"""The longest result, in bytes of JSON."""


def encoded_result(value: object) -> Any:
    """Dataclasses and models become objects, dates ISO texts, sets lists, bytes base64.

    Raises:
        LMStudioPluginRuntimeError: It cannot become JSON, holds NaN or infinity, or is too big.
    """
    kind = type(value).__name__
    try:
        plain = to_jsonable_python(
            value, bytes_mode="base64", by_alias=True, inf_nan_mode="constants"
        )
        if isinstance(value, (bytes, bytearray, memoryview)):
            plain = base64.b64encode(bytes(cast("Any", value))).decode(
                "ascii"
            )  # padded, as JSON readers expect it
        size = len(json.dumps(cast("Any", plain), allow_nan=False))
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        raise LMStudioPluginRuntimeError(
            f"its result, {kind}, cannot become JSON: {error_text(error)}"
        ) from error
    if size > MAX_RESULT:
        raise LMStudioPluginRuntimeError(
            f"its result has {size} bytes as JSON; at most {MAX_RESULT} are sent"
        )
    return plain
