"""The ``embedding`` namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.kv.stack import fields

from . import parameters as p
from .models import model_endpoints, resolve, run_engine

if TYPE_CHECKING:
    from .endpoint import Call

__all__ = ["namespace"]

namespace: Final = model_endpoints("embedding")


@namespace.rpc("embedString", p.EmbedString)
async def embed_string(call: Call, parameter: p.EmbedString) -> Any:
    """The embedding of one text."""
    instance = resolve(call, parameter.model_specifier)
    async with call.services.registry.use(instance, "computingEmbedding"):
        embedding = await run_engine(call, instance, instance.model.embed(parameter.input_string))
    return {"embedding": embedding}


@namespace.rpc("getBasePredictionConfig", p.GetBaseConfig)
async def get_base_prediction_config(call: Call, parameter: p.GetBaseConfig) -> Any:
    """Embedding has no settings per call."""
    resolve(call, parameter.specifier)
    return fields({})
