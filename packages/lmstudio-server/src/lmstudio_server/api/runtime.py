"""The ``runtime`` namespace: the installed engines, and what they see of this machine.

Engines are Python packages here: pip installs and removes them, and not a client.
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, RootModel

from lmstudio_server.engines.installed import Engines
from lmstudio_server.errors import WireError, close_matches_text
from lmstudio_server.hardware import architecture

from .endpoint import ABSENT, Call, Channel, Namespace
from .parameters import OptionalKey, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmstudio_server.engines.base import Engine
    from lmstudio_server.engines.llamacpp.devices import Device
    from lmstudio_server.hardware import Hardware

__all__ = ["namespace"]

namespace: Final = Namespace("runtime")

_FORMATS: Final = {"gguf": "GGUF", "ggml": "GGML", "mlx": "MLX", "pt": "PT", "pte": "PTE"}
"""What the protocol calls formats here, by what it calls them elsewhere."""
_LLAMA_CPP: Final = "llama.cpp"
_PLATFORMS: Final = {"linux": "linux", "darwin": "macos", "win32": "win"}
_KNOWN_EXTENSIONS: Final = ("AVX", "AVX2")
_BACKENDS: Final = {
    "CUDA": "CUDA",
    "ROCm": "ROCm",
    "Vulkan": "Vulkan",
    "Metal": "Metal",
    "MTL": "Metal",
    "OpenCL": "OpenCl",
    "GPUOpenCL": "OpenCl",
}
"""How llama.cpp's device names begin, and the protocol's word for it."""


class Specifier(Parameter):
    name: str
    version: str


class SelectEngine(Parameter):
    engine: Specifier
    model_format_name: Literal["GGUF", "MLX", "GGML", "PT", "PTE", "yuzu"]


class WholeScope(Parameter):
    type: Literal["selected", "all"]


class CustomScope(Parameter):
    type: Literal["custom"]
    engines: list[Specifier]


class Scope(RootModel[WholeScope | CustomScope]):
    root: WholeScope | CustomScope = Field(discriminator="type")


class SuperjsonVoid(Parameter):
    """No value, in the one wrapping that the protocol has for it."""


class SearchExtensions(Parameter):
    query: str
    channel_override: OptionalKey = None
    include_incompatible: bool


class DownloadExtension(Parameter):
    name: str
    version: str
    update_selections: bool


def _engines(call: Call) -> Sequence[Engine]:
    engine = call.services.engine
    return engine.engines if isinstance(engine, Engines) else (engine,)


def _formats(engine: Engine) -> list[str]:
    return sorted(_FORMATS[name] for name in engine.formats if name in _FORMATS)


def _selected(call: Call) -> dict[str, Engine]:
    """The engine that runs the models of each format: the first that can."""
    selected: dict[str, Engine] = {}
    for engine in _engines(call):
        for name in _formats(engine):
            selected.setdefault(name, engine)
    return selected


def _require(call: Call, wanted: Specifier) -> Engine:
    known = {f"{engine.name}@{engine.version}": engine for engine in _engines(call)}
    engine = known.get(f"{wanted.name}@{wanted.version}")
    if engine is None:
        matches = [name for name in known if name.partition("@")[0] == wanted.name]
        raise WireError(
            f'No engine "{wanted.name}@{wanted.version}" is installed.',
            cause=f"Installed: {', '.join(known) or 'none'}.",
            suggestion=close_matches_text(matches, "`lmstudio runtime ls` lists the engines."),
        )
    return engine


def _specifier(engine: Engine) -> dict[str, str]:
    return {"name": engine.name, "version": engine.version}


def _described(engine: Engine) -> dict[str, Any]:
    """What lists and surveys tell of an engine."""
    return {
        **_specifier(engine),
        "engine": engine.name,
        "platform": _PLATFORMS.get(sys.platform, sys.platform),
        "supportedModelFormatNames": _formats(engine),
    }


@namespace.rpc("listEngines")
async def list_engines(call: Call, _parameter: Any) -> Any:
    """The installed engines, llama.cpp first."""
    hardware = await call.services.surveys.hardware()
    return [_info(engine, hardware) for engine in _engines(call)]


def _info(engine: Engine, hardware: Hardware) -> dict[str, Any]:
    cpu: dict[str, Any] = {"architecture": platform.machine() or "unknown"}
    info = {**_described(engine), "cpu": cpu}
    if engine.name == _LLAMA_CPP:
        if hardware.processor is not None:
            cpu["instructionSetExtensions"] = list(hardware.processor.features)
        frameworks = {_backend(device) for device in hardware.graphics}
        if frameworks:
            info["gpu"] = {"framework": ", ".join(sorted(frameworks))}
    return info


@namespace.rpc("getEngineSelections", SuperjsonVoid)
async def get_engine_selections(call: Call, _parameter: Any) -> Any:
    """Which engine runs which format. A map, and so the one result in superjson."""
    pairs = [[name, _specifier(engine)] for name, engine in _selected(call).items()]
    return {"json": pairs, "meta": {"values": ["map"]}}


@namespace.rpc("selectEngine", SelectEngine)
async def select_engine(call: Call, parameter: SelectEngine) -> Any:
    """Confirm the engine of a format; which one it is follows from what is installed."""
    engine = _require(call, parameter.engine)
    name = parameter.model_format_name
    if _selected(call).get(name) is not engine:
        raise WireError(
            f"{engine.name} cannot be selected for {name} models.",
            cause=f"It loads: {', '.join(_formats(engine)) or 'no files'}.",
            suggestion="The first installed engine that loads a format runs its models.",
        )
    return ABSENT


@namespace.rpc("removeEngine", Specifier)
async def remove_engine(call: Call, parameter: Specifier) -> Any:
    """Engines are not removed by clients."""
    engine = _require(call, parameter)
    raise _by_pip(f"{engine.name} is not removed by this server.", "Uninstall")


@namespace.rpc("searchRuntimeExtensions", SearchExtensions)
async def search_runtime_extensions(_call: Call, _parameter: Any) -> Any:
    """There is no catalog: nothing is found."""
    return {"extensions": []}


@namespace.channel("downloadRuntimeExtension", DownloadExtension)
async def download_runtime_extension(_channel: Channel, parameter: DownloadExtension) -> None:
    """Engines are not installed by clients."""
    raise _by_pip(
        f'"{parameter.name}@{parameter.version}" is not downloaded by this server.',
        "Install or upgrade",
    )


def _by_pip(title: str, verb: str) -> WireError:
    return WireError(
        title,
        cause="Engines are Python packages of the server's environment.",
        suggestion=f"{verb} the package with pip where the server runs, and start it again.",
    )


@namespace.rpc("surveyHardware", Scope, optional=True)
async def survey_hardware(call: Call, scope: Any) -> Any:
    """What the engines see. Those that run models elsewhere see nothing of this machine."""
    chosen = scope.root if scope is not ABSENT else WholeScope(type="selected")
    if isinstance(chosen, CustomScope):
        engines = [_require(call, wanted) for wanted in chosen.engines]
    elif chosen.type == "selected":
        engines = list(dict.fromkeys(_selected(call).values()))
    else:
        engines = list(_engines(call))
    hardware = await call.services.surveys.hardware()
    surveyed = [_surveyed(engine, hardware) for engine in engines]
    usable = any(found["compatibility"]["status"] == "compatible" for found in surveyed)
    return {"status": "ok" if usable else "noCompatibleBackends", "engines": surveyed}


def _surveyed(engine: Engine, hardware: Hardware) -> dict[str, Any]:
    if engine.name != _LLAMA_CPP:
        result = {"code": "unset", "message": "This engine does not tell what it runs on."}
        survey: dict[str, Any] = {
            "cpuSurveyResult": {"result": result},
            "gpuSurveyResult": {"result": result, "gpuInfo": []},
        }
    else:
        survey = {"cpuSurveyResult": _cpu(hardware), "gpuSurveyResult": _gpus(hardware)}
    compatibility = {"status": "compatible"}
    if engine.name == _LLAMA_CPP and hardware.problem is not None:
        compatibility = {"status": "errorSurveyingHardware", "message": hardware.problem}
    ram, vram = hardware.memory_bytes, hardware.graphics_bytes
    return {
        **_described(engine),
        "compatibility": compatibility,
        "hardwareSurvey": survey,
        "memoryInfo": {"ramCapacity": ram, "vramCapacity": vram, "totalMemory": ram + vram},
    }


def _cpu(hardware: Hardware) -> dict[str, Any]:
    device = hardware.processor
    if device is None:
        return {"result": {"code": "error", "message": hardware.problem or "No processor told."}}
    extensions: list[str] = [name for name in _KNOWN_EXTENSIONS if name in device.features]
    if architecture() == "ARM64":
        extensions.append("AdvSIMD")
    return {
        "result": {"code": "success", "message": ""},
        "cpuInfo": {
            "name": device.description,
            "architecture": architecture(),
            "supportedInstructionSetExtensions": extensions,
        },
    }


def _gpus(hardware: Hardware) -> dict[str, Any]:
    if hardware.problem is not None:
        result = {"code": "error", "message": hardware.problem}
    elif not hardware.graphics:
        words = "This build of llama.cpp finds no graphics card that it can use."
        result = {"code": "noDevicesFound", "message": words}
    else:
        result = {"code": "success", "message": ""}
    found = [_gpu(number, device) for number, device in enumerate(hardware.graphics)]
    return {"result": result, "gpuInfo": found}


def _gpu(number: int, device: Device) -> dict[str, Any]:
    own = device.kind == "gpu"
    return {
        "name": device.description,
        "deviceId": number,
        "totalMemoryCapacityBytes": device.memory_bytes,
        "dedicatedMemoryCapacityBytes": device.memory_bytes if own else 0,
        "integrationType": "discrete" if own else "integrated",
        "detectionPlatform": _backend(device),
        "detectionPlatformVersion": "unknown",
        "otherInfo": {"device": device.name},
    }


def _backend(device: Device) -> str:
    return next(
        (word for begin, word in _BACKENDS.items() if device.name.startswith(begin)), "unknown"
    )


namespace.mark("nothing", "searchRuntimeExtensions")
namespace.mark("error", "removeEngine", "downloadRuntimeExtension")
