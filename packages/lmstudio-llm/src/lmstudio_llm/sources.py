"""Predictions that are asked for in another way than by a model's identifier alone.

A handle with a source has its requests changed on their way: more settings below the caller's, or
another endpoint that answers with the same packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lmstudio_core.config import kv_config, kv_values
from lmstudio_core.lenient import as_mapping
from lmstudio_core.protocol.operations import Endpoint

__all__ = ["BaseSettings", "PluginGenerator", "PredictionSource", "give_source", "source_of"]


class PredictionSource(Protocol):
    """Changes the request of a prediction."""

    @property
    def is_model(self) -> bool:
        """Whether a model answers, which can be asked whether it sees images."""
        ...

    def request(
        self, endpoint: Endpoint, parameter: Mapping[str, Any]
    ) -> tuple[Endpoint, Mapping[str, Any]]:
        """Whom to ask, and with what, in the place of these."""
        ...


@dataclass(frozen=True)
class BaseSettings:
    """A model with settings below the caller's, such as those of the chat that a plugin works on.

    Attributes:
        values: Key to value.
        layer: What the server calls them.
    """

    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    layer: str = "conversationSpecific"
    is_model: bool = True

    def request(
        self, endpoint: Endpoint, parameter: Mapping[str, Any]
    ) -> tuple[Endpoint, Mapping[str, Any]]:
        """The same with one more layer, and without what the server would set by itself."""
        below = {"layerName": self.layer, "config": kv_config(self.values)}
        layers = [below, *parameter["predictionConfigStack"]["layers"]]
        more = {"predictionConfigStack": {"layers": layers}, "ignoreServerSessionConfig": True}
        return endpoint, {**parameter, **more}


@dataclass(frozen=True)
class PluginGenerator:
    """A generator of an LM Studio plugin.

    Attributes:
        plugin_identifier: Which plugin.
        specifier: Where its settings come from, in the wire's form.
    """

    plugin_identifier: str
    specifier: Mapping[str, Any]
    is_model: bool = False

    def request(
        self, endpoint: Endpoint, parameter: Mapping[str, Any]
    ) -> tuple[Endpoint, Mapping[str, Any]]:
        """The chat and the tools; a generator takes none of a model's settings."""
        del endpoint
        values: dict[str, Any] = {}
        for layer in parameter["predictionConfigStack"]["layers"]:
            values.update(kv_values(layer["config"]))
        tools = as_mapping(values.get("llm.prediction.tools"))
        asked: dict[str, Any] = {
            "pluginIdentifier": self.plugin_identifier,
            "pluginConfigSpecifier": self.specifier,
            "tools": tools.get("tools", []),
            "history": parameter["history"],
        }
        return Endpoint("plugins", "generateWithGenerator", "channel"), asked


_KEPT: Final = "_prediction_source"


def source_of(model: object) -> PredictionSource | None:
    """The source of a handle that has one."""
    source: PredictionSource | None = getattr(model, _KEPT, None)
    return source


def give_source(model: object, source: PredictionSource) -> None:
    """Have all predictions of a handle asked for as the source says."""
    vars(model)[_KEPT] = source
