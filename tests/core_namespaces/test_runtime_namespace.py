"""``client.runtime`` against a scripted server, sync and async."""

from __future__ import annotations

from typing import Any

import pytest

import lmstudio_core as lms
from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.manage.runtime import (
    HardwareSurvey,
    RuntimeEngine,
    RuntimeEngineSpecifier,
    RuntimeExtension,
)
from lmstudio_core.protocol.operations import VOID
from lmstudio_testing import ServerFailure

CPU = {"architecture": "x86_64", "instructionSetExtensions": ["AVX2"]}
ENGINE = {
    "name": "llama.cpp-linux-x86_64-avx2",
    "version": "1.50.0",
    "engine": "llama.cpp",
    "platform": "linux",
    "cpu": CPU,
    "gpu": {"make": "Nvidia", "framework": "CUDA"},
    "supportedModelFormatNames": ["GGUF"],
}
EXTENSION = {
    "type": "engine",
    "name": "llama.cpp-linux-x86_64-avx2",
    "version": "1.51.0",
    "package": "p",
    "platform": "linux",
    "cpu": CPU,
    "supportedModelFormatNames": ["GGUF"],
    "localVersions": ["1.50.0"],
}
PROGRESS = {"downloadedBytes": 1, "totalBytes": 2, "speedBytesPerSecond": 3}


def test_engines_are_listed(api: Any, server: Any) -> None:
    server.on("runtime.listEngines", [ENGINE])
    (engine,) = api(api.client.runtime.list_engines())
    assert isinstance(engine, RuntimeEngine)
    assert (engine.name, engine.version, engine.gpu.framework) == (ENGINE["name"], "1.50.0", "CUDA")
    assert engine.cpu.instruction_set_extensions == ("AVX2",)
    assert server.parameters == [VOID]


def test_engine_selections_travel_as_superjson(api: Any, server: Any) -> None:
    specifier = {"name": ENGINE["name"], "version": "1.50.0"}
    wrapped = {"json": [["GGUF", specifier]], "meta": {"values": ["map"]}}
    server.on("runtime.getEngineSelections", wrapped)
    selections = api(api.client.runtime.get_engine_selections())
    assert selections == {"GGUF": RuntimeEngineSpecifier.from_dict(specifier)}
    # A server that finds no wrapper here goes down.
    assert server.parameters == [{"json": None, "meta": {"values": ["undefined"]}}]


def test_engines_are_selected_and_removed(api: Any, server: Any) -> None:
    server.on("runtime.selectEngine")
    server.on("runtime.removeEngine")
    api(api.client.runtime.select_engine("e", "1", "GGUF"))
    api(api.client.runtime.remove_engine("e", "1"))
    engine = {"name": "e", "version": "1"}
    assert server.parameters == [{"engine": engine, "modelFormatName": "GGUF"}, engine]


SURVEY = {
    "status": "ok",
    "engines": [
        {
            "name": "e",
            "version": "1",
            "engine": "llama.cpp",
            "platform": "linux",
            "compatibility": {"status": "compatible"},
            "supportedModelFormatNames": ["GGUF"],
            "hardwareSurvey": {
                "gpuSurveyResult": {
                    "result": {"code": "success", "message": ""},
                    "gpuInfo": [
                        {
                            "name": "Card",
                            "deviceId": 0,
                            "totalMemoryCapacityBytes": 8,
                            "dedicatedMemoryCapacityBytes": 8,
                            "integrationType": "discrete",
                            "detectionPlatform": "CUDA",
                            "detectionPlatformVersion": "12",
                            "otherInfo": {"driver": "1"},
                        }
                    ],
                },
                "cpuSurveyResult": {
                    "result": {"code": "success", "message": ""},
                    "cpuInfo": {
                        "name": "Chip",
                        "architecture": "x86_64",
                        "supportedInstructionSetExtensions": ["AVX2"],
                    },
                },
            },
            "memoryInfo": {"ramCapacity": 16, "vramCapacity": 8, "totalMemory": 24},
            "visibleDevicesConfig": {"visibleDevices": [0], "changesOrder": False},
        }
    ],
}


@pytest.mark.parametrize(
    ("engines", "sent"),
    [
        (None, VOID),
        ("all", {"type": "all"}),
        ("selected", {"type": "selected"}),
        (
            [RuntimeEngineSpecifier(name="e", version="1"), {"name": "f", "version": "2"}],
            {
                "type": "custom",
                "engines": [{"name": "e", "version": "1"}, {"name": "f", "version": "2"}],
            },
        ),
    ],
)
def test_the_hardware_is_surveyed(api: Any, server: Any, engines: Any, sent: Any) -> None:
    server.on("runtime.surveyHardware", SURVEY)
    survey = api(api.client.runtime.survey_hardware(engines))
    assert isinstance(survey, HardwareSurvey)
    (engine,) = survey.engines
    assert engine.hardware_survey.gpu_survey_result.gpu_info[0].name == "Card"
    assert engine.hardware_survey.cpu_survey_result.cpu_info.name == "Chip"
    assert engine.memory_info.ram_capacity == 16
    assert server.parameters == [sent]


def test_extensions_are_searched(api: Any, server: Any) -> None:
    server.on("runtime.searchRuntimeExtensions", {"extensions": [EXTENSION]})
    (found,) = api(api.client.runtime.search_extensions())
    assert isinstance(found, RuntimeExtension)
    assert found.local_versions == ("1.50.0",)
    api(api.client.runtime.search_extensions("llama", channel="beta", include_incompatible=True))
    assert server.parameters == [
        {"query": "", "includeIncompatible": False},
        {"query": "llama", "includeIncompatible": True, "channelOverride": "beta"},
    ]


def test_an_extension_is_downloaded(api: Any, server: Any) -> None:
    server.on_channel(
        "runtime.downloadRuntimeExtension",
        [
            {"type": "downloadProgress", "update": PROGRESS},
            {"type": "startFinalizing"},
            {"type": "success"},
        ],
    )
    seen: list[Any] = []
    api(
        api.client.runtime.download_extension(
            "e", "1", on_progress=seen.append, on_finalize=lambda: seen.append("finalizing")
        )
    )
    assert isinstance(seen[0], lms.DownloadProgressUpdate)
    assert seen[1:] == ["finalizing"]
    assert server.parameters == [{"name": "e", "version": "1", "updateSelections": True}]


def test_an_interrupted_download_is_stopped(server: Any) -> None:
    def interrupt(update: Any) -> None:
        raise KeyboardInterrupt

    server.on_odd_channel(
        "runtime.downloadRuntimeExtension",
        lambda channel: channel.send({"type": "downloadProgress", "update": PROGRESS}),
    )
    with lms.Client(server.api_host) as client:
        with pytest.raises(KeyboardInterrupt):
            client.runtime.download_extension("e", "1", on_progress=interrupt)
        server.requests[0].wait_for_message("cancel")


def test_errors_keep_the_servers_words(api: Any, server: Any) -> None:
    server.on("runtime.selectEngine", ServerFailure("No such engine", suggestion="List them."))
    with pytest.raises(LMStudioServerError, match="No such engine\nList them"):
        api(api.client.runtime.select_engine("e", "1", "GGUF"))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r: r.select_engine("", "1", "GGUF"),
        lambda r: r.remove_engine("e", None),
        lambda r: r.survey_hardware("some"),
        lambda r: r.survey_hardware([3]),
        lambda r: r.search_extensions(3),
        lambda r: r.search_extensions(channel="x" * 31),
        lambda r: r.download_extension("e", 1),
    ],
)
def test_wrong_arguments_are_refused(api: Any, server: Any, wrong: Any) -> None:
    with pytest.raises(LMStudioValueError):
        api(wrong(api.client.runtime))
    assert server.requests == ()
