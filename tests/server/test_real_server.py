"""The server as users have it: its own process, llama.cpp, the pocket models."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from wire_client import Refused, client, load, prediction, query, run, said, stack

from lmstudio_server import library
from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.testing import ServerProcess, running_server
from waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire_client import Client

POCKET = Path(library.__file__).parent.parent / "pocket" / "pocket-q8_0.gguf"
ENDLESS = {
    "llm__prediction__structured": {"type": "gbnf", "gbnfGrammar": 'root ::= "word " root'},
    "llm__prediction__contextOverflowPolicy": "rollingWindow",
}
"""What keeps a model busy until somebody ends it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    models = tmp_path_factory.mktemp("models")
    for name in ("whole", "short", "scrambled"):
        folder = models / "tests" / name
        folder.mkdir(parents=True)
        shutil.copy(POCKET, folder / f"{name}.gguf")
    short = models / "tests" / "short" / "short.gguf"
    os.truncate(short, 5000)
    scrambled = models / "tests" / "scrambled" / "scrambled.gguf"
    # The header stays readable; one tensor has a type that no engine knows.
    content = scrambled.read_bytes()
    scrambled.write_bytes(content.replace(b"blk.0.attn_q.weight", b"blk.0.attn_x.weight", 1))
    with running_server(models=[models]) as process:
        yield process


def text(packets: list[dict[str, Any]]) -> str:
    return "".join(p["fragment"]["content"] for p in packets if p["type"] == "fragment")


async def ask(llm: Client, question: str, identifier: str = "pocket", **fields: Any) -> Any:
    parameter = {**prediction(question, **fields), "modelSpecifier": query(identifier)}
    return await llm.collect("predict", **parameter)


def test_an_answer(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm") as llm:
            await llm.collect("getOrLoad", identifier="pocket", loadConfigStack=stack())
            packets = await ask(llm, "What is the meaning of life?")
            assert "42" in text(packets)
            assert packets[0]["type"] == "promptProcessingProgress"
            stats = packets[-1]["stats"]
            assert stats["stopReason"] == "eosFound"
            assert stats["totalTokensCount"] == (
                stats["promptTokensCount"] + stats["predictedTokensCount"]
            )
            raw = await llm.collect(
                "completeRawText",
                modelSpecifier=query("pocket"),
                rawPrompt="Once upon a time",
                predictionConfigStack=stack(
                    llm__prediction__maxPredictedTokens={"checked": True, "value": 5}
                ),
            )
            assert raw[-1]["stats"]["stopReason"] == "maxPredictedTokensReached"
            formatted = await llm.call(
                "applyPromptTemplate",
                specifier=query("pocket"),
                history=said("hi"),
                predictionConfigStack=stack(),
                opts={},
            )
            assert "hi" in formatted["formatted"]

    run(test)


def test_a_draft_model(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm") as llm:
            await llm.collect("getOrLoad", identifier="pocket", loadConfigStack=stack())
            await llm.call(
                "preloadDraftModel", specifier=query("pocket"), draftModelKey="pocket-think"
            )
            packets = await ask(
                llm,
                "Tell me a story.",
                llm__prediction__speculativeDecoding__draftModel="pocket-think",
            )
            stats = packets[-1]["stats"]
            assert stats["usedDraftModelKey"] == "pocket-think"
            accepted = stats["acceptedDraftTokensCount"]
            assert 0 < accepted <= stats["totalDraftTokensCount"]
            drafted = [p["fragment"]["containsDrafted"] for p in packets if p["type"] == "fragment"]
            assert any(drafted)
            for key, words in (("nobody", "nobody"), ("pocket-embedding", "embedding model")):
                with pytest.raises(Refused, match=words):
                    await llm.call(
                        "preloadDraftModel", specifier=query("pocket"), draftModelKey=key
                    )

    run(test)


def test_the_end_of_the_context(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm") as llm:
            small = stack(llm__load__contextLength=256, llm__load__numParallelSessions=1)
            await llm.collect(
                "loadModel", modelKey="pocket", identifier="small", loadConfigStack=small
            )
            endless = {
                "llm__prediction__llama__logitBias": [[t, "-inf"] for t in range(1015, 1024)],
                "llm__prediction__maxPredictedTokens": {"checked": True, "value": 400},
            }
            for policy, reason in (
                (None, "contextLengthReached"),
                ("stopAtLimit", "contextLengthReached"),
                ("truncateMiddle", "maxPredictedTokensReached"),
                ("rollingWindow", "maxPredictedTokensReached"),
            ):
                named = {"llm__prediction__contextOverflowPolicy": policy} if policy else {}
                packets = await ask(llm, "Tell me a story.", "small", **endless, **named)
                stats = packets[-1]["stats"]
                assert stats["stopReason"] == reason, policy
                if reason == "contextLengthReached":
                    assert stats["totalTokensCount"] == 256
            await llm.call("unloadModel", identifier="small")

    run(test)


def test_damaged_files(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "system") as system, client(server, "llm") as llm:
            models = await system.call("listDownloadedModels")
            keys = {model["modelKey"] for model in models}
            assert {"whole", "pocket", "pocket-think", "pocket-embedding"} <= keys
            assert "short" not in keys
            for name in ("short", "scrambled"):
                with pytest.raises(Refused) as caught:
                    await load(llm, name)
                assert f"{name}.gguf" in str(caught.value.error)
            assert (await load(llm, "whole"))["identifier"] == "whole"
            await llm.call("unloadModel", identifier="whole")

    run(test)
    assert "short.gguf" in server.log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_engine_that_is_killed(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm") as llm:
            before = children(server.pid)
            await load(llm, "pocket", identifier="victim")
            [worker] = children(server.pid) - before
            parameter = {
                **prediction("Go on.", **ENDLESS),
                "modelSpecifier": query("victim"),
            }
            packets = await llm.open("predict", **parameter)
            while (await packets.__anext__())["type"] != "fragment":
                pass
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(Refused) as caught:
                async for _packet in packets:
                    pass
            assert "victim" in caught.value.error["title"]
            assert caught.value.error["suggestion"]
            assert "victim" not in [i["identifier"] for i in await llm.call("listLoaded")]
            await load(llm, "pocket", identifier="victim")
            assert "42" in text(await ask(llm, "What is the meaning of life?", "victim"))
            await llm.call("unloadModel", identifier="victim")

    run(test)


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_conversation_that_is_too_long(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm") as llm:
            config = stack(llm__load__contextLength=256, llm__load__numParallelSessions=1)
            await llm.collect(
                "loadModel", modelKey="pocket", identifier="tight", loadConfigStack=config
            )
            long = "The sky is blue. " * 200 + "What is the meaning of life?"
            for policy in ("truncateMiddle", "rollingWindow"):
                fields = {"llm__prediction__contextOverflowPolicy": policy}
                packets = await ask(llm, long, "tight", **fields)
                assert packets[-1]["stats"]["promptTokensCount"] <= 256 * 3 / 4 + 2
            with pytest.raises(Refused, match="context holds 256"):
                await ask(llm, long, "tight", llm__prediction__contextOverflowPolicy="stopAtLimit")
            await llm.call("unloadModel", identifier="tight")

    run(test)


def test_a_client_that_leaves_frees_the_engine(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm", "guest:stays") as stays:
            await load(stays, "pocket", identifier="busy")
            async with client(server, "llm") as leaves:
                parameter = {
                    **prediction("Go on.", **ENDLESS),
                    "modelSpecifier": query("busy"),
                }
                packets = await leaves.open("predict", **parameter)
                while (await packets.__anext__())["type"] != "fragment":
                    pass
            parameter = {"specifier": query("busy"), "throwIfNotFound": True}
            while (await stays.call("getInstanceProcessingState", **parameter))["status"] != "idle":
                pass
            assert "42" in text(await ask(stays, "What is the meaning of life?", "busy"))
            await stays.call("unloadModel", identifier="busy")

    run(test)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_server_takes_its_engines_along() -> None:
    with running_server() as server:

        async def test() -> None:
            async with client(server, "llm") as llm:
                await load(llm)

        run(test)
        [worker] = children(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not is_running(worker), 30)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_bad_schema_is_an_error_and_no_more(server: ServerProcess) -> None:
    async def test() -> None:
        async with client(server, "llm") as llm:
            await llm.collect("getOrLoad", identifier="pocket", loadConfigStack=stack())
            bad = {"type": "gbnf", "gbnfGrammar": "root ::= ((("}
            with pytest.raises(Refused):
                await ask(llm, "hi", llm__prediction__structured=bad)
            assert text(await ask(llm, "What is the meaning of life?"))

    run(test)


def test_it_stays_small(server: ServerProcess) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")

    async def test() -> None:
        async with client(server, "llm") as llm:
            await llm.collect("getOrLoad", identifier="pocket", loadConfigStack=stack())

    run(test)
    resident = sum(map(memory, {server.pid} | children(server.pid)))
    assert resident < 300 * 1024 * 1024
    status = fetch_status("127.0.0.1", server.port)
    assert status is not None
    assert status["communicationWarnings"] == {"sent": 0, "received": 0}


def memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmRSS for {pid}")
