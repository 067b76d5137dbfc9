"""Model management as operations: pure, for both kinds of models and both drivers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ..config import ConfigModel, config_stack, kv_values
from ..data import ServerStruct
from ..errors import LMStudioValueError
from ..protocol.operations import VOID, Call, Channel, Endpoint, Op
from .infos import ModelInfoBase, ModelQuery, parse_model_info
from .kind import ModelKind
from .specifiers import ModelInstanceSpecifier, ModelQuerySpecifier

__all__ = [
    "DEFAULT_TTL",
    "LoadProgressCallback",
    "any_model_info",
    "count_tokens",
    "get_context_length",
    "get_load_config",
    "get_model_info",
    "get_or_load",
    "list_downloaded",
    "list_loaded",
    "load_new_instance",
    "model_identifier",
    "query_specifier",
    "tokenize",
    "unload",
]

logger = logging.getLogger("lmstudio")

DEFAULT_TTL: Final = 3600
"""Seconds without use after which a model that this client loaded is unloaded."""

LoadProgressCallback = Callable[[float], None]


def query_specifier(identifier: str) -> dict[str, Any]:
    """The wire form of "the loaded model of that identifier"."""
    return {"type": "query", "query": {"identifier": identifier}}


def _specifier(model_specifier: Any) -> dict[str, Any]:
    """The wire form of whatever names a model: identifier, ``ModelQuery``, dict, handle."""
    if isinstance(model_specifier, str):
        return query_specifier(model_specifier)
    if isinstance(model_specifier, ModelQuery):
        return {"type": "query", "query": model_specifier.to_dict()}
    if isinstance(model_specifier, (ModelQuerySpecifier, ModelInstanceSpecifier)):
        return model_specifier.to_dict()
    if isinstance(model_specifier, Mapping):
        known = model_specifier.get("type") in ("query", "instanceReference")
        query = ModelQuery.from_dict(model_specifier).to_dict() if not known else None
        return dict(model_specifier) if known else {"type": "query", "query": query}
    identifier = getattr(model_specifier, "identifier", None)
    if isinstance(identifier, str):
        return query_specifier(identifier)
    raise LMStudioValueError(
        f"A model is named by its identifier, a ModelQuery or a dict, not by {model_specifier!r}."
    )


def _key(model_key: Any) -> str:
    if not isinstance(model_key, str) or not model_key.strip():
        raise LMStudioValueError(
            f"A model key is a string such as 'qwen/qwen3-4b', not {model_key!r}."
        )
    return model_key


def _ttl_ms(ttl: float | None) -> int | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or ttl <= 0:
        raise LMStudioValueError(f"ttl is a positive number of seconds or None, not {ttl!r}.")
    return max(1, int(ttl * 1000))


class _LoadChannel(Channel[float, ServerStruct]):
    """Folds both ways of loading: progress as events, the instance's info as the result."""

    def __init__(
        self,
        kind: ModelKind,
        endpoint: str,
        parameter: Mapping[str, Any],
        on_progress: LoadProgressCallback | None,
    ) -> None:
        self.endpoint = Endpoint(kind.namespace, endpoint, "channel")
        self.parameter = parameter
        self._kind = kind
        self._on_progress = on_progress
        self._last = -1.0
        self._info: ServerStruct | None = None

    def feed(self, message: Any) -> Sequence[float]:
        packet = message if isinstance(message, Mapping) else {}
        match packet.get("type"):
            case "startLoading" | "resolved":
                return self._progress(0.0)
            case "progress" | "loadProgress":
                return self._progress(packet.get("progress"))
            case "alreadyLoaded":
                return self._finish(packet, loaded=False)
            case "success" | "loadSuccess":
                return self._finish(packet, loaded=True)
            case _:
                return ()

    def _finish(self, packet: Mapping[str, Any], *, loaded: bool) -> Sequence[float]:
        info = packet.get("info")
        self._info = self._kind.instance_info.from_dict(info if isinstance(info, Mapping) else {})
        self.done = True
        return self._progress(1.0) if loaded else ()

    def _progress(self, value: Any) -> Sequence[float]:
        """Report progress if it rose: callers see 0.0 to 1.0, never repeated, never falling."""
        if not isinstance(value, (int, float)) or not self._last < (
            ratio := min(1.0, max(0.0, value))
        ):
            return ()
        self._last = ratio
        if self._on_progress is not None:
            try:
                self._on_progress(ratio)
            except Exception:
                logger.exception("on_load_progress raised; loading goes on")
        return (ratio,)

    def result(self) -> ServerStruct:
        assert self._info is not None
        return self._info


def get_or_load(
    kind: ModelKind,
    model_key: str,
    *,
    ttl: float | None,
    config: ConfigModel | Mapping[str, Any] | None,
    on_load_progress: LoadProgressCallback | None,
) -> Channel[float, ServerStruct]:
    """The model of that key: the loaded one if there is one, else it is loaded."""
    load = kind.parse_load_config(config)
    parameter: dict[str, Any] = {
        "identifier": _key(model_key),
        "loadConfigStack": config_stack(("apiOverride", load.to_kv())),
    }
    if (ttl_ms := _ttl_ms(ttl)) is not None:
        parameter["loadTtlMs"] = ttl_ms
    return _LoadChannel(kind, "getOrLoad", parameter, on_load_progress)


def load_new_instance(
    kind: ModelKind,
    model_key: str,
    instance_identifier: str | None,
    *,
    ttl: float | None,
    config: ConfigModel | Mapping[str, Any] | None,
    on_load_progress: LoadProgressCallback | None,
) -> Channel[float, ServerStruct]:
    """One more instance of the model, whatever is loaded already."""
    load = kind.parse_load_config(config)
    parameter: dict[str, Any] = {
        "modelKey": _key(model_key),
        "loadConfigStack": config_stack(("apiOverride", load.to_kv())),
    }
    if instance_identifier is not None:
        parameter["identifier"] = instance_identifier
    if (ttl_ms := _ttl_ms(ttl)) is not None:
        parameter["ttlMs"] = ttl_ms
    return _LoadChannel(kind, "loadModel", parameter, on_load_progress)


def model_identifier(
    kind: ModelKind,
    model_key: str | None,
    *,
    ttl: float | None,
    config: ConfigModel | Mapping[str, Any] | None,
    on_load_progress: LoadProgressCallback | None,
) -> Op[str]:
    """The identifier behind ``.model(key)``: any loaded model without a key, else get or load."""
    if model_key is None:
        info = yield any_model_info(kind)
    else:
        info = yield get_or_load(
            kind, model_key, ttl=ttl, config=config, on_load_progress=on_load_progress
        )
    identifier: str = info.identifier
    return identifier


def any_model_info(kind: ModelKind) -> Call[ServerStruct]:
    """The info of any loaded model of the kind; the server's error if none is loaded."""
    return _model_info(kind, {"type": "query", "query": {}})


def get_model_info(kind: ModelKind, model_specifier: Any) -> Call[ServerStruct]:
    """The info of the loaded model meant."""
    return _model_info(kind, _specifier(model_specifier))


def _model_info(kind: ModelKind, specifier: Mapping[str, Any]) -> Call[ServerStruct]:
    return Call(
        Endpoint(kind.namespace, "getModelInfo"),
        {"specifier": specifier, "throwIfNotFound": True},
        kind.instance_info.from_dict,
    )


def list_loaded(kind: ModelKind) -> Call[list[ServerStruct]]:
    """The infos of all loaded models of the kind."""

    def decode(raw: Any) -> list[ServerStruct]:
        return [kind.instance_info.from_dict(item) for item in raw or ()]

    return Call(Endpoint(kind.namespace, "listLoaded"), VOID, decode)


def list_downloaded(domain: str | None = None) -> Call[list[ModelInfoBase]]:
    """The infos of all downloaded models, or of those of one domain."""

    def decode(raw: Any) -> list[ModelInfoBase]:
        infos = [parse_model_info(item) for item in raw or ()]
        return [info for info in infos if domain is None or info.type == domain]

    return Call(Endpoint("system", "listDownloadedModels"), VOID, decode)


def unload(kind: ModelKind, identifier: str) -> Call[None]:
    """Unload one instance."""
    return Call(Endpoint(kind.namespace, "unloadModel"), {"identifier": _key(identifier)}, _nothing)


def _nothing(_: Any) -> None:
    return None


def _load_config_values(kind: ModelKind, identifier: str) -> Call[dict[str, Any]]:
    return Call(
        Endpoint(kind.namespace, "getLoadConfig"),
        {"specifier": query_specifier(identifier)},
        kv_values,
    )


def get_load_config(kind: ModelKind, identifier: str) -> Op[ConfigModel]:
    """The config that a loaded model was loaded with."""
    values = yield _load_config_values(kind, identifier)
    return kind.load_config.from_kv(values)


def get_context_length(kind: ModelKind, identifier: str) -> Op[int]:
    """The context length of a loaded model, in tokens."""
    info = yield get_model_info(kind, identifier)
    if info.context_length:
        return int(info.context_length)
    values = yield _load_config_values(kind, identifier)  # servers before instance infos had it
    return int(values.get(kind.context_length_key) or 0)


def _tokens(raw: Any) -> list[int]:
    return list(raw["tokens"])


def _token_count(raw: Any) -> int:
    return int(raw["tokenCount"])


def tokenize(kind: ModelKind, identifier: str, text: str) -> Call[list[int]]:
    """The token ids of one text."""
    parameter = {"specifier": query_specifier(identifier), "inputString": _text(text)}
    return Call(Endpoint(kind.namespace, "tokenize"), parameter, _tokens)


def count_tokens(kind: ModelKind, identifier: str, text: str) -> Call[int]:
    """The number of tokens of one text."""
    parameter = {"specifier": query_specifier(identifier), "inputString": _text(text)}
    return Call(Endpoint(kind.namespace, "countTokens"), parameter, _token_count)


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise LMStudioValueError(f"Text must be a string, not {type(text).__name__}.")
    return text


def texts(value: str | Iterable[str]) -> list[str] | None:
    """The list that ``value`` is, or ``None`` for one string."""
    if isinstance(value, str):
        return None
    return [_text(item) for item in value]
