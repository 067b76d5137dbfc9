"""Model management as operations: pure, for both kinds of models and both drivers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..config import ConfigModel, config_stack, kv_values
from ..data import ServerStruct
from ..errors import (
    LMStudioAmbiguousModelError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
    LMStudioValueError,
)
from ..lenient import as_list, as_mapping
from ..protocol.operations import VOID, Call, Endpoint, Op
from .infos import (
    EstimatedResources,
    ModelInfoBase,
    ModelProcessingState,
    ModelQuery,
    parse_model_info,
)
from .kind import ModelKind
from .loading import (
    DEFAULT_TTL,
    LoadProgressCallback,
    device_field,
    explained,
    get_or_load,
    list_downloaded,
    load_new_instance,
    model_key_text,
)
from .matching import find_model
from .specifiers import ModelInstanceSpecifier, ModelQuerySpecifier

__all__ = [
    "DEFAULT_TTL",
    "LoadProgressCallback",
    "any_model_info",
    "base_prediction_config",
    "count_tokens",
    "estimate_resources",
    "find_downloaded",
    "get_context_length",
    "get_load_config",
    "get_model_info",
    "get_or_load",
    "list_downloaded",
    "list_downloaded_variants",
    "list_loaded",
    "load_new_instance",
    "model_info_for",
    "preload_draft_model",
    "processing_state",
    "query_specifier",
    "specifier_of",
    "texts",
    "tokenize",
    "unload",
]


# -- which model ---------------------------------------------------------------------------------


def query_specifier(identifier: str) -> dict[str, Any]:
    """The wire form of "the loaded model of that identifier"."""
    return {"type": "query", "query": {"identifier": identifier}}


def specifier_of(model_specifier: Any) -> dict[str, Any]:  # api
    """The wire form of whatever names a model: identifier, ``ModelQuery``, dict, handle."""
    if isinstance(model_specifier, str):
        return query_specifier(model_specifier)
    if isinstance(model_specifier, ModelQuery):
        return {"type": "query", "query": model_specifier.to_dict()}
    if isinstance(model_specifier, (ModelQuerySpecifier, ModelInstanceSpecifier)):
        return model_specifier.to_dict()
    if isinstance(model_specifier, Mapping):
        given = as_mapping(cast("object", model_specifier))
        if given.get("type") in ("query", "instanceReference"):
            return dict(given)
        return {"type": "query", "query": ModelQuery.from_dict(given).to_dict()}
    identifier = getattr(model_specifier, "identifier", None)
    if isinstance(identifier, str):
        device = device_field(getattr(model_specifier, "device_identifier", None))
        return {"type": "query", "query": {"identifier": identifier, **device}}
    raise LMStudioValueError(
        f"A model is named by its identifier, a ModelQuery or a dict, not by {model_specifier!r}."
    )


# -- any loaded model, and lists -----------------------------------------------------------------


def model_info_for(
    kind: ModelKind,
    model_key: str | None,
    *,
    ttl: float | None,
    config: ConfigModel | Mapping[str, Any] | None,
    on_load_progress: LoadProgressCallback | None,
    device: str | None,
) -> Op[ServerStruct]:
    """The info behind ``.model(key)``: any loaded model without a key, else get or load."""
    if model_key is None:
        any_info: ServerStruct = yield any_model_info(kind, device)
        return any_info
    info = yield from get_or_load(
        kind, model_key, ttl=ttl, config=config, on_load_progress=on_load_progress, device=device
    )
    return info


def any_model_info(kind: ModelKind, device: str | None = None) -> Call[ServerStruct]:
    """The info of any loaded model of the kind; the server's error if none is loaded."""
    return _model_info(kind, {"type": "query", "query": device_field(device)})


def get_model_info(kind: ModelKind, model_specifier: Any) -> Call[ServerStruct]:  # api
    """The info of the loaded model meant."""
    return _model_info(kind, specifier_of(model_specifier))


def _model_info(kind: ModelKind, specifier: Mapping[str, Any]) -> Call[ServerStruct]:
    return Call(
        Endpoint(kind.namespace, "getModelInfo"),
        {"specifier": specifier, "throwIfNotFound": True},
        kind.instance_info.from_dict,
    )


def list_loaded(kind: ModelKind) -> Call[list[ServerStruct]]:
    """The infos of all loaded models of the kind."""

    def decode(raw: Any) -> list[ServerStruct]:
        return [kind.instance_info.from_dict(item) for item in as_list(raw)]

    return Call(Endpoint(kind.namespace, "listLoaded"), VOID, decode)


def list_downloaded_variants(model_key: str, domain: str | None = None) -> Op[list[ModelInfoBase]]:
    """The infos of the downloaded variants (quantizations, formats) of a model.

    Some servers answer with none to a key that they do not know; that is an error here.
    """
    infos: list[ModelInfoBase] = yield _variants(model_key)
    if not infos:
        downloaded: list[ModelInfoBase] = yield list_downloaded()
        with contextlib.suppress(LMStudioAmbiguousModelError):
            find_model(model_key, downloaded)
    return [info for info in infos if domain is None or info.type == domain]


def _variants(model_key: str) -> Call[list[ModelInfoBase]]:
    def decode(raw: Any) -> list[ModelInfoBase]:
        return [parse_model_info(item) for item in as_list(raw)]

    parameter = {"modelKey": model_key_text(model_key)}
    return Call(Endpoint("system", "listDownloadedModelVariants"), parameter, decode)


def find_downloaded(model_key: str) -> Op[ModelInfoBase]:
    """The info of the downloaded model, of whatever kind, that a key means."""
    key = model_key_text(model_key)
    infos: list[ModelInfoBase] = yield list_downloaded()
    try:
        return find_model(key, infos)
    except LMStudioAmbiguousModelError:
        raise
    except LMStudioModelNotFoundError as error:
        try:  # lists lack some variants, and servers know more names of a model than its key
            variants: list[ModelInfoBase] = yield _variants(key)
        except LMStudioServerError:
            raise error from None
        if not variants:
            raise
        return variants[0] if len(variants) == 1 else find_model(key, variants)


# -- one loaded model ----------------------------------------------------------------------------


def unload(kind: ModelKind, identifier: str, device: str | None = None) -> Call[None]:
    """Unload one instance."""
    given: Any = identifier  # not everybody checks types
    if not isinstance(given, str) or not given:
        raise LMStudioValueError(
            f"What to unload is named by its identifier, a string, not by {given!r}."
        )
    parameter = {"identifier": given, **device_field(device)}
    return Call(Endpoint(kind.namespace, "unloadModel"), parameter, _nothing)


def _nothing(_: Any) -> None:
    return None


def _load_config_values(kind: ModelKind, model: Any) -> Call[dict[str, Any]]:
    parameter = {"specifier": specifier_of(model)}
    return Call(Endpoint(kind.namespace, "getLoadConfig"), parameter, kv_values)


def get_load_config(kind: ModelKind, model: Any) -> Op[ConfigModel]:
    """The config that a loaded model was loaded with."""
    values = yield _load_config_values(kind, model)
    return kind.load_config.from_kv(values)


def get_context_length(kind: ModelKind, model: Any) -> Op[int]:  # api
    """The context length of a loaded model, in tokens."""
    info = yield get_model_info(kind, model)
    if info.context_length:
        return int(info.context_length)
    values = yield _load_config_values(kind, model)  # servers before instance infos had it
    return int(values.get(kind.context_length_key) or 0)


def base_prediction_config(
    kind: ModelKind, model: Any, *, ignore_server_session_config: bool = False
) -> Call[Any]:
    """The prediction config that applies where a caller sets nothing."""

    def decode(raw: Any) -> Any:
        values = kv_values(raw)
        if kind.prediction_config is None:
            return values
        config: Any = kind.class_of(kind.prediction_config)
        return config.from_kv(values)

    parameter: dict[str, Any] = {"specifier": specifier_of(model)}
    if ignore_server_session_config:
        parameter["ignoreServerSessionConfig"] = True
    return Call(Endpoint(kind.namespace, "getBasePredictionConfig"), parameter, decode)


def processing_state(kind: ModelKind, model: Any) -> Call[ModelProcessingState]:
    """What a loaded model is doing."""
    parameter = {"specifier": specifier_of(model), "throwIfNotFound": True}
    endpoint = Endpoint(kind.namespace, "getInstanceProcessingState")
    return Call(endpoint, parameter, ModelProcessingState.from_dict)


def estimate_resources(
    kind: ModelKind,
    model_key: str,
    config: ConfigModel | Mapping[str, Any] | None,
    device: str | None,
) -> Op[EstimatedResources]:
    """What a model would take if it were loaded with a config."""
    load = kind.parse_load_config(config)
    parameter = {
        "modelKey": model_key_text(model_key),
        "loadConfigStack": config_stack(("apiOverride", load.to_kv())),
        **device_field(device),
    }
    endpoint = Endpoint(kind.namespace, "estimateModelUsage")
    return explained(kind, model_key, Call(endpoint, parameter, EstimatedResources.from_dict))


def preload_draft_model(kind: ModelKind, model: Any, draft_model_key: str) -> Op[None]:
    """Load the draft model of speculative decoding before the first prediction needs it."""
    parameter = {"specifier": specifier_of(model), "draftModelKey": model_key_text(draft_model_key)}
    call = Call(Endpoint(kind.namespace, "preloadDraftModel"), parameter, _nothing)
    return explained(kind, draft_model_key, call)


# -- tokens --------------------------------------------------------------------------------------


def _tokens(raw: Any) -> list[int]:
    return list(raw["tokens"])


def _token_count(raw: Any) -> int:
    return int(raw["tokenCount"])


def tokenize(kind: ModelKind, model: Any, text: str) -> Call[list[int]]:  # api
    """The token ids of one text."""
    parameter = {"specifier": specifier_of(model), "inputString": _text(text)}
    return Call(Endpoint(kind.namespace, "tokenize"), parameter, _tokens)


def count_tokens(kind: ModelKind, model: Any, text: str) -> Call[int]:  # api
    """The number of tokens of one text."""
    parameter = {"specifier": specifier_of(model), "inputString": _text(text)}
    return Call(Endpoint(kind.namespace, "countTokens"), parameter, _token_count)


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise LMStudioValueError(f"Text must be a string, not {type(text).__name__}.")
    return text


def texts(value: str | Iterable[str]) -> list[str] | None:
    """The list that ``value`` is, or ``None`` for one string."""
    if isinstance(value, str):
        return None
    given: Any = value  # what the caller wrote, whatever the annotation says
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        raise LMStudioValueError(
            f"Text is a string or an iterable of strings, not {type(value).__name__}."
        )
    return [_text(item) for item in value]
