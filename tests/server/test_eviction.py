"""Models loaded on demand make room for each other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, FakeLibrary, fake_file
from wire_client import client, fake_server, load, prediction, query, run, stack

from lmstudio_server.config import ServerConfig
from lmstudio_server.eviction import available_memory

ONE, TWO = fake_file("one", size_bytes=600), fake_file("two", size_bytes=600)


async def ask_for(one: Any, key: str) -> list[dict[str, Any]]:
    return await one.collect("getOrLoad", identifier=key, loadConfigStack=stack())


async def loaded(one: Any) -> list[str]:
    return [info["identifier"] for info in await one.call("listLoaded")]


def test_only_the_last_one_stays_where_one_is_the_limit() -> None:
    async def test() -> None:
        library = FakeLibrary(ONE, TWO, fake_file("kept"))
        async with (
            fake_server(library=library, jit_models=1) as server,
            client(server, "llm") as one,
        ):
            await load(one, "kept")  # by hand: it stays
            await ask_for(one, "one")
            packets = await ask_for(one, "two")
            assert [p["type"] for p in packets[:2]] == ["startLoading", "unloadingOtherJITModel"]
            assert packets[1]["info"]["identifier"] == "one"
            assert await loaded(one) == ["kept", "two"]

    run(test)


def test_a_model_in_use_stays() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with (
            fake_server(engine, FakeLibrary(ONE, TWO), jit_models=1) as server,
            client(server, "llm") as one,
            client(server, "llm") as other,
        ):
            await ask_for(one, "one")
            stream = await one.open(
                "predict", **{**prediction("wait"), "modelSpecifier": query("one")}
            )
            await asyncio.wait_for(engine.waiting.wait(), 10)
            packets = await ask_for(other, "two")
            assert "unloadingOtherJITModel" not in [p["type"] for p in packets]
            assert await loaded(other) == ["one", "two"]
            await stream.cancel()
            assert [p async for p in stream][-1]["type"] == "success"

    run(test)


def test_a_model_that_is_used_before_its_turn_comes_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        engine = FakeEngine()
        library = FakeLibrary(ONE, TWO, fake_file("three", size_bytes=600))
        async with (
            fake_server(engine, library) as server,
            client(server, "llm") as one,
            client(server, "llm") as other,
        ):
            await ask_for(one, "one")
            await ask_for(one, "two")
            monkeypatch.setattr("lmstudio_server.api.models.available_memory", lambda: 0)
            going, gone = asyncio.Event(), asyncio.Event()

            async def unload() -> None:
                going.set()
                await gone.wait()

            monkeypatch.setattr(engine.models[0], "unload", unload)
            packets = asyncio.create_task(ask_for(other, "three"))
            await asyncio.wait_for(going.wait(), 10)
            stream = await one.open(
                "predict", **{**prediction("wait"), "modelSpecifier": query("two")}
            )
            await asyncio.wait_for(engine.waiting.wait(), 10)
            gone.set()
            evicted = [p["info"]["identifier"] for p in await packets if "OtherJIT" in p["type"]]
            assert evicted == ["one"]
            assert await loaded(other) == ["two", "three"]
            await stream.cancel()
            assert [p async for p in stream][-1]["stats"]["stopReason"] == "userStopped"

    run(test)


def test_a_model_that_was_just_loaded_is_not_the_one_unused_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        library = FakeLibrary(ONE, TWO, fake_file("three", size_bytes=1000))
        async with fake_server(library=library) as server, client(server, "llm") as one:
            await ask_for(one, "one")
            await one.call("tokenize", specifier=query("one"), inputString="x")
            await ask_for(one, "two")
            monkeypatch.setattr("lmstudio_server.api.models.available_memory", lambda: 1000)
            await ask_for(one, "three")
            assert await loaded(one) == ["two", "three"]

    run(test)


def test_short_memory_evicts_what_was_unused_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        library = FakeLibrary(ONE, TWO, fake_file("three", size_bytes=1000))
        async with fake_server(library=library) as server, client(server, "llm") as one:
            await ask_for(one, "one")
            await ask_for(one, "two")
            await one.call("tokenize", specifier=query("one"), inputString="x")
            # Enough once one of them is gone.
            monkeypatch.setattr("lmstudio_server.api.models.available_memory", lambda: 1000)
            await ask_for(one, "three")
            assert await loaded(one) == ["one", "three"]

    run(test)


def test_available_memory_is_read_where_the_system_tells(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  100 kB\nMemAvailable:  2 kB\n")
    assert available_memory(file) == 2048
    file.write_text("MemAvailable: nonsense\n")
    assert available_memory(file) is None
    assert available_memory(tmp_path / "none") is None


@pytest.mark.parametrize(("text", "limit"), [("", None), ("2", 2), ("0", None), ("x", None)])
def test_the_limit_comes_from_the_environment(
    text: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSTUDIO_SERVER_JIT_MODELS", text)
    assert ServerConfig().jit_models == limit
