"""The runtime's calls and its download, without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from ...errors import LMStudioValueError
from ...lenient import as_list, as_mapping
from ...protocol.operations import VOID, Call, Channel, Endpoint
from ..repository.data import (
    DownloadFinalizedCallback,
    DownloadProgressCallback,
    DownloadProgressUpdate,
)
from ..repository.downloads import DownloadChannel
from .data import HardwareSurvey, RuntimeEngine, RuntimeEngineSpecifier, RuntimeExtension

__all__ = [
    "EngineScope",
    "download_extension",
    "get_engine_selections",
    "list_engines",
    "remove_engine",
    "search_extensions",
    "select_engine",
    "survey_hardware",
]

_CHANNEL_LIMIT: Final = 30

EngineScope = Literal["selected", "all"] | Iterable[RuntimeEngineSpecifier | Mapping[str, str]]
"""Which engines a survey asks: the selected ones, all, or those given."""


def _endpoint(name: str) -> Endpoint:
    return Endpoint("runtime", name)


def _nothing(_: Any) -> None:
    return None


def _text(what: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise LMStudioValueError(f"{what} must be a string that is not empty, not {value!r}.")
    return value


def _engine(name: object, version: object) -> dict[str, str]:
    return {"name": _text("name", name), "version": _text("version", version)}


def list_engines() -> Call[list[RuntimeEngine]]:
    """The installed engines."""

    def decode(raw: Any) -> list[RuntimeEngine]:
        return [RuntimeEngine.from_dict(as_mapping(item)) for item in as_list(raw)]

    return Call(_endpoint("listEngines"), VOID, decode)


def get_engine_selections() -> Call[dict[str, RuntimeEngineSpecifier]]:
    """Which engine runs models of which format."""

    def decode(raw: Any) -> dict[str, RuntimeEngineSpecifier]:
        pairs = dict(raw)  # the map, or its pairs
        return {str(k): RuntimeEngineSpecifier.from_dict(as_mapping(v)) for k, v in pairs.items()}

    endpoint = Endpoint("runtime", "getEngineSelections", serialization="superjson")
    return Call(endpoint, VOID, decode)


def select_engine(name: str, version: str, model_format: str) -> Call[None]:
    """Run models of a format with an engine from now on."""
    parameter = {
        "engine": _engine(name, version),
        "modelFormatName": _text("model_format", model_format),
    }
    return Call(_endpoint("selectEngine"), parameter, _nothing)


def remove_engine(name: str, version: str) -> Call[None]:
    """Uninstall an engine."""
    return Call(_endpoint("removeEngine"), _engine(name, version), _nothing)


def survey_hardware(engines: EngineScope | None) -> Call[HardwareSurvey]:
    """What engines see of the server's machine."""

    def decode(raw: Any) -> HardwareSurvey:
        return HardwareSurvey.from_dict(as_mapping(raw))

    parameter = VOID if engines is None else _scope(engines)
    return Call(_endpoint("surveyHardware"), parameter, decode)


def _scope(engines: object) -> dict[str, Any]:
    if isinstance(engines, str):
        if engines not in ("selected", "all"):
            raise LMStudioValueError(
                f"engines is 'selected', 'all' or a list of engines, not {engines!r}."
            )
        return {"type": engines}
    listed = [_specifier(engine) for engine in cast("Iterable[object]", engines)]
    return {"type": "custom", "engines": listed}


def _specifier(engine: object) -> dict[str, str]:
    if isinstance(engine, RuntimeEngineSpecifier):
        return _engine(engine.name, engine.version)
    given = as_mapping(engine)
    return _engine(given.get("name"), given.get("version"))


def search_extensions(
    query: str, channel: str | None, include_incompatible: bool
) -> Call[list[RuntimeExtension]]:
    """Engines and frameworks that can be downloaded."""
    if not isinstance(cast("object", query), str):
        raise LMStudioValueError(f"query must be a string, not {query!r}.")

    def decode(raw: Any) -> list[RuntimeExtension]:
        return [RuntimeExtension.from_dict(as_mapping(item)) for item in as_list(raw["extensions"])]

    parameter: dict[str, Any] = {"query": query, "includeIncompatible": bool(include_incompatible)}
    if channel is not None:
        if not 0 < len(_text("channel", channel)) <= _CHANNEL_LIMIT:
            raise LMStudioValueError(f"channel may have up to {_CHANNEL_LIMIT} characters.")
        parameter["channelOverride"] = channel
    return Call(_endpoint("searchRuntimeExtensions"), parameter, decode)


def download_extension(
    name: str,
    version: str,
    update_selections: bool,
    on_progress: DownloadProgressCallback | None,
    on_finalize: DownloadFinalizedCallback | None,
) -> Channel[DownloadProgressUpdate, str]:
    """Download and install an engine or framework; the result is empty."""
    parameter = {**_engine(name, version), "updateSelections": bool(update_selections)}
    channel = DownloadChannel("downloadRuntimeExtension", parameter, on_progress, on_finalize)
    channel.endpoint = Endpoint("runtime", "downloadRuntimeExtension", "channel")
    return channel
