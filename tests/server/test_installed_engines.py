"""Engines as plugins: found by entry points, chosen by format or name, broken ones left out."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_engine import FakeEngine, FakeFile, FakeLibrary, PanicError, fake_file
from gguf_files import model, put
from http_client import post
from importlib_metadata import EntryPoint
from pocket_models import POCKET
from wire_client import Refused, client, fake_server, load, prediction, query, run, said, stack

from lmstudio_core.plugins.registry import Plugins
from lmstudio_server.engines.base import EngineError, LoadRequest
from lmstudio_server.engines.installed import Engines, installed_engines
from lmstudio_server.library import Library

if TYPE_CHECKING:
    from collections.abc import Sequence


class NamedEngine(FakeEngine):
    """An engine that knows models by names of its own."""

    name = "named"
    formats = frozenset[str]()

    def offered(self) -> list[FakeFile]:
        return [
            fake_file("far", format="safetensors", engine="named", model="Org/Far"),
            fake_file("pocket", format="safetensors", engine="named", model="Org/Pocket"),
        ]


def test_llamacpp_comes_through_the_same_door() -> None:
    engines = installed_engines()
    assert engines.engines[0].name == "llama.cpp"
    assert "gguf" in engines.formats
    assert engines.version.split(", ")[0] != "not installed"


def test_broken_engines_are_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = types.ModuleType("made_engines")
    vars(made).update(fake=FakeEngine, half=lambda: object())
    monkeypatch.setitem(sys.modules, "made_engines", made)
    group = "lmstudio.engines"
    points = [
        EntryPoint("gone", "no_such_engine:Engine", group),
        EntryPoint("half", "made_engines:half", group),
        EntryPoint("fake", "made_engines:fake", group),
        EntryPoint("llamacpp", "lmstudio_server.engines.llamacpp:LlamaCppEngine", group),
    ]
    monkeypatch.setattr("lmstudio_core.plugins.registry.plugins", Plugins(points, {}))
    engines = installed_engines()
    assert engines.name == "llama.cpp, fake"
    assert "'gone'" in caplog.text
    assert "'half'" in caplog.text
    assert "it has no name, version, formats, offered, load" in caplog.text


def test_the_engine_is_chosen_by_name_or_format() -> None:
    async def test() -> None:
        fake, named = FakeEngine(), NamedEngine()
        engines = Engines([fake, named, FakeEngine()])
        assert len(engines.engines) == 2
        path = Path("/models/m.gguf")
        await engines.load(LoadRequest(path), lambda _: None)
        await engines.load(LoadRequest(path, engine="named", model="Org/Far"), lambda _: None)
        assert (len(fake.loads), len(named.loads)) == (1, 1)
        for request in (LoadRequest(path, format="onnx"), LoadRequest(path, engine="lost")):
            with pytest.raises(EngineError, match=r"No engine for m\.gguf.*fake, named"):
                await engines.load(request, lambda _: None)

    run(test)


def test_models_by_name_are_listed_beside_files(tmp_path: Path) -> None:
    put(tmp_path, "a/Far-GGUF/far.gguf", model())
    keys = [m.key for m in Library([tmp_path], elsewhere=NamedEngine().offered).scan()]
    # Files come first; the name that a file has already is the path's for the other.
    assert keys == ["far", "tests/far.gguf", "pocket", "pocket-think", "pocket-embedding"]


def test_a_named_model_is_loaded_and_used_like_a_file() -> None:
    async def test() -> None:
        named = NamedEngine()
        engines: Any = Engines([FakeEngine(), named])
        async with (
            fake_server(engines, FakeLibrary(*named.offered())) as server,
            client(server, "llm") as one,
        ):
            info = await load(one, "far")
            assert (info["modelKey"], info["format"]) == ("far", "safetensors")
            assert [r.model for r in named.loads] == ["Org/Far"]
            packets = await one.collect(
                "predict", **{**prediction("say: hi"), "modelSpecifier": query("far")}
            )
            assert packets[-1]["type"] == "success"
            await one.call("unloadModel", identifier="far")

    run(test)


def test_a_file_without_an_engine_says_so() -> None:
    async def test() -> None:
        files: Sequence[Any] = [fake_file("odd", format="onnx")]
        engines: Any = Engines([FakeEngine()])
        async with (
            fake_server(engines, FakeLibrary(*files)) as server,
            client(server, "llm") as one,
        ):
            with pytest.raises(Exception, match="could not be loaded: No engine for") as caught:
                await one.collect("loadModel", modelKey="odd", loadConfigStack=stack())
            error: Any = caught.value
            assert "installed and working: fake" in error.error["cause"]

    run(test)


class PanickingEngine(FakeEngine):
    async def load(self, request: Any, on_progress: Any) -> Any:
        raise PanicError("out of bounds")


def test_an_engine_that_raises_anything_fails_alone() -> None:
    async def test() -> None:
        engines: Any = Engines([PanickingEngine()])
        async with fake_server(engines) as server, client(server, "llm") as one:
            with pytest.raises(Refused) as caught:
                await one.collect("loadModel", modelKey="pocket", loadConfigStack=stack())
            assert "PanicError: out of bounds" in str(caught.value.error)
        async with fake_server() as server, client(server, "llm") as one:
            await load(one)
            with pytest.raises(Refused) as caught:
                await one.collect("predict", **prediction("panic"))
            assert "PanicError: index out of bounds" in str(caught.value.error)
            messages = [{"role": "user", "content": "panic"}]
            answer = await post(server, "/v1/chat/completions", model="pocket", messages=messages)
            assert answer.status == 500
            assert "index out of bounds" in str(answer.error)
            packets = await one.collect("predict", **prediction("say: hi"))
            assert packets[-1]["type"] == "success"

    run(test)


def test_the_pocket_model_is_loaded_through_the_door() -> None:
    async def test() -> None:
        loaded = await installed_engines().load(LoadRequest(POCKET), lambda _: None)
        try:
            assert await loaded.tokenize(said("hello")["messages"][0]["content"][0]["text"])
        finally:
            await loaded.unload()

    run(test)
