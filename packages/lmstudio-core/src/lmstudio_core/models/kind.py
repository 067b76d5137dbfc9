"""What tells one kind of model from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import ConfigModel
from ..data import ServerStruct
from ..lazy import load_object


@dataclass(frozen=True)
class ModelKind:  # api
    """A domain of models: where it lives on the server and which classes stand for it here.

    Attributes:
        namespace: The server's namespace, such as ``"llm"``.
        domain: The value of ``type`` in model infos, such as ``"llm"``.
        info: The class of a downloaded model's info.
        instance_info: The class of a loaded model's info.
        load_config: The class of load configs; its ``to_kv``/``from_kv`` do the conversion.
        handle, async_handle: ``"module:Class"`` of the handles, called with (runner, identifier).
        downloaded, async_downloaded: ``"module:Class"``, called with (client, info).
        context_length_key: The key under which a load config holds the context length.
        prediction_config: ``"module:Class"`` of prediction configs, for kinds that have such.
    """

    namespace: str
    domain: str
    info: type[ServerStruct]
    instance_info: type[ServerStruct]
    load_config: type[ConfigModel]
    handle: str
    async_handle: str
    downloaded: str
    async_downloaded: str
    context_length_key: str
    prediction_config: str | None = None

    def class_of(self, path: str) -> Callable[..., Any]:
        """Import one of the classes named above."""
        cls: Callable[..., Any] = load_object(path)
        return cls

    def parse_load_config(self, config: ConfigModel | Mapping[str, Any] | None) -> ConfigModel:
        """The load config object of whatever a caller passed."""
        return self.load_config.parse(config)
