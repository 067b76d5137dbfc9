"""The runtime namespace; every answer is checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest
from fake_engine import FakeEngine, FakeLibrary
from wire_client import PATIENCE, Client, Refused, client, fake_server, run

import lmstudio as lms
from lmstudio_server.config import ServerConfig
from lmstudio_server.engines.llamacpp import LlamaCppEngine, devices
from lmstudio_server.engines.llamacpp.devices import Device, DevicesError
from lmstudio_server.serving.server import serve
from lmstudio_server.testing import ServerProcess, running_server

VOID = {"json": None, "meta": {"values": ["undefined"]}}
LLAMA_CPP = {"name": "llama.cpp", "version": LlamaCppEngine().version}


def on_runtime(test: Any) -> None:
    """Run a test with a client of a server with llama.cpp; no model is loaded."""

    async def main() -> None:
        config = ServerConfig(port=0)
        async with (
            serve(config, engine=LlamaCppEngine(), library=FakeLibrary()) as server,
            client(server, "runtime") as one,
        ):
            await test(one)

    run(main)


async def selections(one: Client) -> Any:
    """The selections, unwrapped."""
    await one.send(type="rpcCall", endpoint="getEngineSelections", callId=900, parameter=VOID)
    frame = await one.receive()
    assert frame["result"]["meta"] == {"values": ["map"]}
    return frame["result"]["json"]


class TestEngines:
    def test_llama_cpp_is_listed_with_its_version(self) -> None:
        async def test(one: Client) -> None:
            (engine,) = await one.call("listEngines")
            assert engine.items() >= {**LLAMA_CPP, "engine": "llama.cpp"}.items()
            assert engine["supportedModelFormatNames"] == ["GGUF"]
            assert await selections(one) == [["GGUF", LLAMA_CPP]]

        on_runtime(test)

    def test_selecting_what_is_selected_is_fine(self) -> None:
        async def test(one: Client) -> None:
            select = {"engine": LLAMA_CPP, "modelFormatName": "GGUF"}
            assert await one.call("selectEngine", **select) is None
            with pytest.raises(Refused, match="cannot be selected for MLX"):
                await one.call("selectEngine", engine=LLAMA_CPP, modelFormatName="MLX")
            other = {"name": "llama.cpp", "version": "0"}
            with pytest.raises(Refused) as caught:
                await one.call("selectEngine", engine=other, modelFormatName="GGUF")
            assert LLAMA_CPP["version"] in caught.value.error["suggestion"]

        on_runtime(test)

    def test_engines_come_and_go_by_pip(self) -> None:
        async def test(one: Client) -> None:
            with pytest.raises(Refused) as caught:
                await one.call("removeEngine", **LLAMA_CPP)
            assert "pip" in caught.value.error["suggestion"]
            found = await one.call("searchRuntimeExtensions", query="", includeIncompatible=True)
            assert found == {"extensions": []}
            with pytest.raises(Refused, match="not downloaded"):
                await one.collect("downloadRuntimeExtension", **LLAMA_CPP, updateSelections=False)

        on_runtime(test)


class TestSurvey:
    def test_this_machine(self) -> None:
        async def test(one: Client) -> None:
            survey = await one.call("surveyHardware")
            assert survey["status"] == "ok"
            (engine,) = survey["engines"]
            assert engine["memoryInfo"]["ramCapacity"] > 100_000_000
            cpu = engine["hardwareSurvey"]["cpuSurveyResult"]
            assert cpu["result"]["code"] == "success"
            assert cpu["cpuInfo"]["name"]
            assert survey == await one.call("surveyHardware", type="all")
            assert survey == await one.call("surveyHardware", type="custom", engines=[LLAMA_CPP])
            with pytest.raises(Refused, match="No engine"):
                await one.call(
                    "surveyHardware", type="custom", engines=[{"name": "x", "version": "1"}]
                )

        on_runtime(test)

    def test_graphics_cards(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [
            Device("CUDA0", "Big Card", "gpu", 24_000),
            Device("Vulkan1", "Small Card", "integrated", 8_000),
            Device("CPU", "Processor", "cpu", 64_000, ("AVX", "AVX2", "FMA")),
        ]
        monkeypatch.setattr("lmstudio_server.engines.llamacpp.devices.devices", lambda: found)

        async def test(one: Client) -> None:
            ((engine,)) = (await one.call("surveyHardware"))["engines"]
            big, small = engine["hardwareSurvey"]["gpuSurveyResult"]["gpuInfo"]
            assert (big["name"], big["detectionPlatform"]) == ("Big Card", "CUDA")
            assert (big["integrationType"], big["dedicatedMemoryCapacityBytes"]) == (
                "discrete",
                24_000,
            )
            assert (small["integrationType"], small["dedicatedMemoryCapacityBytes"]) == (
                "integrated",
                0,
            )
            assert engine["memoryInfo"]["vramCapacity"] == 24_000
            (listed,) = await one.call("listEngines")
            assert listed["gpu"] == {"framework": "CUDA, Vulkan"}
            assert listed["cpu"]["instructionSetExtensions"] == ["AVX", "AVX2", "FMA"]

        on_runtime(test)

    def test_a_broken_llama_cpp_is_said_and_asked_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def broken() -> list[Device]:
            asked.append(1)
            raise DevicesError("libgomp.so.1: cannot open shared object file")

        monkeypatch.setattr("lmstudio_server.engines.llamacpp.devices.devices", broken)

        async def test(one: Client) -> None:
            for times in (1, 2):
                survey = await one.call("surveyHardware")
                assert survey["status"] == "noCompatibleBackends"
                assert "libgomp" in survey["engines"][0]["compatibility"]["message"]
                assert len(asked) == times

        on_runtime(test)

    def test_another_engine_tells_nothing_of_the_machine(self) -> None:
        async def test() -> None:
            async with fake_server(FakeEngine()) as server, client(server, "runtime") as one:
                ((engine,)) = (await one.call("surveyHardware"))["engines"]
                assert engine["hardwareSurvey"]["cpuSurveyResult"]["result"]["code"] == "unset"

        run(test)

    def test_a_process_that_fails_is_told_with_its_words(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(devices, "__name__", "lmstudio_server.no_such_module")
        with pytest.raises(DevicesError, match="no_such_module"):
            devices.devices()


@pytest.fixture(scope="module")
def server() -> Generator[ServerProcess, None, None]:
    with running_server() as process:
        yield process


def test_the_sdk_reads_it(server: ServerProcess) -> None:
    with lms.Client(server.host) as one:
        names = [engine.name for engine in one.runtime.list_engines()]
        assert "llama.cpp" in names
        assert one.runtime.get_engine_selections()["GGUF"].name == "llama.cpp"
        survey = one.runtime.survey_hardware()
        assert survey.engines[0].memory_info.ram_capacity > 0


def test_the_command_prints_it(server: ServerProcess) -> None:
    listed = lmstudio("runtime", "ls", "--host", server.host, "--json")
    assert json.loads(listed)[0]["selectedFor"] == ["GGUF"]
    shown = lmstudio("runtime", "survey", "--host", server.host)
    assert "llama.cpp@" in shown
    assert "memory:" in shown


def lmstudio(*arguments: str) -> str:
    code = "from lmstudio_cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
