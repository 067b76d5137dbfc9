"""How tokens are chosen: the part of a request that both HTTP APIs name alike. No I/O."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from .bodies import Body, Number, Share
from .errors import invalid

__all__ = ["PREDICTION", "SamplingBody", "checked", "sampling_fields"]

PREDICTION: Final = "llm.prediction."
"""The beginning of the keys of a prediction configuration."""


class SamplingBody(Body):
    """Base of the bodies that ask for a prediction."""

    temperature: Number = None
    top_p: Share = None
    top_k: Annotated[int, Field(ge=-1, le=500)] | None = None
    min_p: Share = None
    repeat_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


def checked(value: Any) -> dict[str, Any]:
    """A setting that is on, as the protocol writes those that can be off."""
    return {"checked": True, "value": value}


def sampling_fields(body: SamplingBody) -> dict[str, Any]:
    """What a body asks for, by the keys of the configuration without their beginning."""
    fields: dict[str, Any] = {}
    if body.temperature is not None:
        if body.temperature < 0:
            raise invalid('"temperature" has to be at least 0.', "temperature", "invalid_value")
        fields["temperature"] = body.temperature
    if body.top_k is not None:
        fields["topKSampling"] = body.top_k
    for value, key in (
        (body.top_p, "topPSampling"),
        (body.min_p, "minPSampling"),
        (body.repeat_penalty, "repeatPenalty"),
    ):
        if value is not None:
            fields[key] = checked(value)
    return fields
