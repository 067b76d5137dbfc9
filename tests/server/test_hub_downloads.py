"""Searching and downloading from a hub that the test makes; every packet is checked."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_engine import FakeEngine
from fake_hub import PATIENCE, FakeHub, fake_hub, partials
from gguf_files import gguf, model
from wire_client import Client, Packets, Refused, client, run

from lmstudio_server.config import ServerConfig
from lmstudio_server.daemon.lock import file_lock
from lmstudio_server.hub import downloads, transfer
from lmstudio_server.serving.server import RunningServer, serve

pytest.importorskip("huggingface_hub")

REPOSITORY = "acme/Big-GGUF"
FILE = f"{REPOSITORY}/Big-Q8_0.gguf"
DATA = model(general__file_type=7, tensors=[("token_embd.weight", (512, 512))])
EYES = gguf({"general.architecture": "clip"}, [("v.patch_embd.weight", (4, 4))])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeHub, None, None]:
    monkeypatch.setattr(transfer, "RETRY_SECONDS", (0.01, 0.01))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with fake_hub() as one:
        monkeypatch.setenv("HF_ENDPOINT", one.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield one


@pytest.fixture
def big(hub: FakeHub) -> FakeHub:
    hub.add(REPOSITORY, "Big-Q8_0.gguf", DATA)
    return hub


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncGenerator[RunningServer, None]:
    config = ServerConfig(port=0, model_folders=(folder,), **settings)
    async with serve(config, engine=FakeEngine()) as server:
        yield server


@asynccontextmanager
async def repository(folder: Path) -> AsyncGenerator[Client, None]:
    async with serving(folder) as server, client(server, "repository") as one:
        yield one


async def options(one: Client, name: str = REPOSITORY) -> list[dict[str, Any]]:
    identifier = {"type": "hf", "identifier": name}
    found = await one.call("getModelDownloadOptions", modelSearchResultIdentifier=identifier)
    return found["results"]


async def refused(one: Client, identifier: str = FILE) -> dict[str, Any]:
    with pytest.raises(Refused) as caught:
        await one.collect("downloadModel", downloadIdentifier=identifier)
    assert caught.value.error["cause"]
    assert caught.value.error["suggestion"]
    return caught.value.error


async def until_held(hub: FakeHub) -> None:
    assert await asyncio.to_thread(hub.held.wait, PATIENCE)


class TestSearch:
    def test_the_one_of_exactly_that_name_comes_first(self, hub: FakeHub, tmp_path: Path) -> None:
        for name in ("acme/Big-GGUF", "acme/Big-GGUF-2", "zoo/Big"):
            hub.add(name, "a.gguf", DATA)

        async def test() -> None:
            async with repository(tmp_path) as one:
                found = await one.call("searchModels", opts={"searchTerm": "ACME/big-gguf-2"})
                assert [(r["name"], r["exact"]) for r in found["results"]] == [
                    ("acme/Big-GGUF-2", True)
                ]
                found = await one.call("searchModels", opts={"searchTerm": "big", "limit": 2})
                assert len(found["results"]) == 2
                assert hub.requests[-1].query["filter"] == ["gguf"]
                found = await one.call(
                    "searchModels", opts={"searchTerm": f"{hub.endpoint}/zoo/Big"}
                )
                assert found["results"][0]["name"] == "zoo/Big"

        run(test)

    def test_an_untagged_repository_is_found_by_its_name(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        big.tagged.clear()

        async def test() -> None:
            async with repository(tmp_path) as one:
                found = await one.call("searchModels", opts={"searchTerm": REPOSITORY.lower()})
                assert [r["name"] for r in found["results"]] == [REPOSITORY]

        run(test)

    def test_formats_that_do_not_run_here_are_not_searched(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                opts = {"searchTerm": "big", "compatibilityTypes": ["safetensors"]}
                assert await one.call("searchModels", opts=opts) == {"results": []}
                assert big.requests == []

        run(test)

    def test_nothing_found(self, big: FakeHub, tmp_path: Path) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                assert await one.call("searchModels", opts={"searchTerm": "x"}) == {"results": []}
                with pytest.raises(Refused, match="no repository"):
                    await one.call("searchModels", opts={"searchTerm": "no/body"})

        run(test)


class TestDownload:
    def test_a_model_is_downloaded_listed_and_not_downloaded_again(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        async def test() -> None:
            async with serving(tmp_path) as server, client(server, "repository") as one:
                (option,) = await options(one)
                assert option["quantization"] == "Q8_0"
                assert option["recommended"] is True
                assert option["sizeBytes"] == len(DATA)
                identifier = option["downloadIdentifier"]
                packets = await one.collect("downloadModel", downloadIdentifier=identifier)
                kinds = [packet["type"] for packet in packets]
                assert kinds[0] == "downloadProgress"
                assert kinds[-2:] == ["startFinalizing", "success"]
                updates = [p["update"] for p in packets if p["type"] == "downloadProgress"]
                arrived = [update["downloadedBytes"] for update in updates]
                assert arrived == sorted(arrived)
                assert arrived[-1] == len(DATA)
                assert {update["totalBytes"] for update in updates} == {len(DATA)}
                key = packets[-1]["defaultIdentifier"]
                async with client(server, "system") as system:
                    listed = await system.call("listDownloadedModels")
                    (found,) = [info for info in listed if info["modelKey"] == key]
                    assert found["path"] == option["indexedModelIdentifier"] == FILE
                assert (tmp_path / FILE).read_bytes() == DATA
                assert partials(tmp_path) == []
                assert len(big.downloads()) == 1
                again = await one.collect("downloadModel", downloadIdentifier=identifier)
                assert again[-1] == {"type": "success", "defaultIdentifier": key}
                assert len(big.downloads()) == 1

        run(test)

    def test_all_parts_and_the_projector_are_there_in_the_end(
        self, hub: FakeHub, tmp_path: Path
    ) -> None:
        for number in (1, 2):
            hub.add(REPOSITORY, f"Q8/Big-Q8_0-0000{number}-of-00002.gguf", DATA)
        hub.add(REPOSITORY, "mmproj-Big-F16.gguf", EYES)

        async def test() -> None:
            async with serving(tmp_path) as server, client(server, "repository") as one:
                (option,) = await options(one)
                assert option["sizeBytes"] == 2 * len(DATA) + len(EYES)
                identifier = option["downloadIdentifier"]
                packets = await one.collect("downloadModel", downloadIdentifier=identifier)
                async with client(server, "system") as system:
                    listed = await system.call("listDownloadedModels")
                key = packets[-1]["defaultIdentifier"]
                (found,) = [info for info in listed if info["modelKey"] == key]
                assert found["vision"] is True
                assert found["sizeBytes"] >= 2 * len(DATA)
                assert len(list((tmp_path / REPOSITORY).glob("*.gguf"))) == 3

        run(test)

    def test_files_that_git_itself_keeps_are_checked_too(
        self, hub: FakeHub, tmp_path: Path
    ) -> None:
        hub.add(REPOSITORY, "Big-Q8_0.gguf", DATA, lfs=False)

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets = await one.collect("downloadModel", downloadIdentifier=FILE)
                assert packets[-1]["type"] == "success"

        run(test)

    def test_two_clients_share_a_download_and_one_may_leave(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        big.hold_after = 200_000

        async def test() -> None:
            async with (
                serving(tmp_path) as server,
                client(server, "repository") as one,
                client(server, "repository", "guest:two") as two,
            ):
                first = await one.open("downloadModel", downloadIdentifier=FILE)
                await until_held(big)
                second = await two.open("downloadModel", downloadIdentifier=FILE)
                assert (await anext(second))["type"] == "downloadProgress"
                await first.cancel()
                async for packet in first:
                    assert packet["type"] == "downloadProgress"
                big.release.set()
                rest = [packet async for packet in second]
                assert rest[-1]["type"] == "success"
                assert len(big.downloads()) == 1

        run(test)

    def test_a_long_check_gives_signs_of_life(
        self, big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(downloads, "HEARTBEAT_SECONDS", 0.01)
        digest, seen = transfer.digest_of, threading.Event()

        def slow(*arguments: Any) -> str:
            assert seen.wait(PATIENCE)
            return digest(*arguments)

        monkeypatch.setattr(transfer, "digest_of", slow)

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets = await one.open("downloadModel", downloadIdentifier=FILE)
                while (await anext(packets))["type"] != "startFinalizing":
                    pass
                sign = await anext(packets)
                assert sign["update"]["downloadedBytes"] == len(DATA)
                seen.set()
                assert [packet async for packet in packets][-1]["type"] == "success"

        run(test)

    def test_two_models_of_a_repository_share_its_projector(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        big.add(REPOSITORY, "Big-Q4_0.gguf", DATA[:-4] + b"1234")
        big.add(REPOSITORY, "mmproj-Big-F16.gguf", EYES)
        big.hold_after = 500

        async def test() -> None:
            async with (
                serving(tmp_path) as server,
                client(server, "repository") as one,
                client(server, "repository", "guest:two") as two,
            ):
                first = await one.open("downloadModel", downloadIdentifier=FILE)
                await until_held(big)
                other = f"{REPOSITORY}/Big-Q4_0.gguf"
                second = await two.open("downloadModel", downloadIdentifier=other)
                assert (await anext(second))["type"] == "downloadProgress"
                big.release.set()
                for packets in (first, second):
                    assert [packet async for packet in packets][-1]["type"] == "success"
            names = [request.path.rpartition("/")[2] for request in big.downloads()]
            assert sorted(names) == ["Big-Q4_0.gguf", "Big-Q8_0.gguf", "mmproj-Big-F16.gguf"]

        run(test)

    def test_a_token_goes_to_the_hub_and_nowhere_else(
        self, big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        big.gated.add(REPOSITORY)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert "terms" in error["title"]
                assert "hf_secret" not in str(error)

        run(test)
        assert {r.headers["authorization"] for r in big.requests} == {"Bearer hf_secret"}


class TestInterrupted:
    def test_a_broken_connection_goes_on_where_it_broke(self, big: FakeHub, tmp_path: Path) -> None:
        big.breaks = [300_000, 200_000]

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets = await one.collect("downloadModel", downloadIdentifier=FILE)
                assert packets[-1]["type"] == "success"

        run(test)
        assert [r.range for r in big.downloads()] == [None, "bytes=300000-", "bytes=500000-"]
        assert (tmp_path / FILE).read_bytes() == DATA

    def test_a_hub_that_stays_away_is_an_error_and_nothing_is_lost(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        big.breaks = [300_000, 0, 0, 0]

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"] == f"{big.endpoint} cannot be reached."
                assert "go on from 300 kB" in error["suggestion"]
                big.breaks = []
                packets = await one.collect("downloadModel", downloadIdentifier=FILE)
                assert packets[0]["update"]["downloadedBytes"] == 300_000
                assert packets[-1]["type"] == "success"

        run(test)
        assert big.downloads()[-1].range == "bytes=300000-"

    @pytest.mark.parametrize("way", ["cancel", "gone", "stopped"])
    def test_a_download_that_was_left_goes_on_the_next_time(
        self, big: FakeHub, tmp_path: Path, way: str
    ) -> None:
        """The client cancels; its connection ends; the server is stopped."""
        big.hold_after = 300_000

        async def begin(one: Client) -> None:
            packets = await one.open("downloadModel", downloadIdentifier=FILE)
            while (await anext(packets))["update"]["downloadedBytes"] == 0:
                pass
            await until_held(big)
            if way == "cancel":
                await packets.cancel()
                async for packet in packets:
                    assert packet["type"] == "downloadProgress"

        async def test() -> None:
            async with serving(tmp_path) as server:
                async with client(server, "repository") as one:
                    await begin(one)
                    if way == "cancel":
                        await finish(one)
                if way == "gone":
                    async with client(server, "repository") as one:
                        await finish(one)
            if way == "stopped":
                async with repository(tmp_path) as one:
                    await finish(one)

        async def finish(one: Client) -> None:
            big.hold_after = None
            packets = await one.collect("downloadModel", downloadIdentifier=FILE)
            assert packets[-1]["type"] == "success"
            begun = packets[0]["update"]["downloadedBytes"]
            assert 0 < begun <= 300_000
            assert [r.range for r in big.downloads()] == [None, f"bytes={begun}-"]
            assert (tmp_path / FILE).read_bytes() == DATA
            assert partials(tmp_path) == []

        run(test)

    def test_a_hub_without_ranges_begins_anew(self, big: FakeHub, tmp_path: Path) -> None:
        big.breaks = [300_000]
        big.ranges = False

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets = await one.collect("downloadModel", downloadIdentifier=FILE)
                assert packets[-1]["type"] == "success"

        run(test)
        assert (tmp_path / FILE).read_bytes() == DATA

    def test_another_version_of_a_file_is_not_continued(self, big: FakeHub, tmp_path: Path) -> None:
        big.breaks = [300_000, 0, 0, 0]

        async def test() -> None:
            async with repository(tmp_path) as one:
                await refused(one)
                newer = model(general__file_type=7, tensors=[("token_embd.weight", (600, 512))])
                big.add(REPOSITORY, "Big-Q8_0.gguf", newer)
                big.breaks = []
                await one.collect("downloadModel", downloadIdentifier=FILE)
                assert (tmp_path / FILE).read_bytes() == newer
                assert partials(tmp_path) == []

        run(test)
        assert big.downloads()[-1].range is None


SOURCE = {"type": "huggingface", "user": "acme", "repo": "Big-GGUF"}


async def planned(one: Client, **opts: Any) -> tuple[Packets, dict[str, Any]]:
    """A channel with a plan that is ready, and the plan."""
    target = {"type": "model", "source": SOURCE}
    packets = await one.open(
        "createDownloadPlan", target=target, **({"opts": opts} if opts else {})
    )
    first = await anext(packets)
    assert (first["type"], first["plan"]["nodes"][0]["state"]) == ("planUpdated", "fetching")
    ready = await anext(packets)
    assert ready["type"] == "planReady"
    assert ready["plan"]["version"] > first["plan"]["version"]
    return packets, ready["plan"]


async def tell(one: Client, packets: Packets, kind: str, **fields: Any) -> None:
    message = {"type": kind, **fields}
    await one.send(type="channelSend", channelId=packets.channel_id, message=message)


class TestPlan:
    def test_a_choice_is_reflected_with_its_version(self, big: FakeHub, tmp_path: Path) -> None:
        big.add(REPOSITORY, "Big-F16.gguf", DATA)

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets, plan = await planned(one)
                (node,) = plan["nodes"]
                assert node["downloadOptions"][node["selectedDownloadOptionIndex"]]["recommended"]
                other = 1 - node["selectedDownloadOptionIndex"]
                choice = {"nodeIndex": 0, "selectedDownloadOptionIndex": other}
                select = "setSelectedDownloadOptionIndex"
                await tell(one, packets, select, **choice, requestedPlanVersion=7)
                changed = await anext(packets)
                assert changed["plan"]["version"] == 7
                assert changed["plan"]["nodes"][0]["selectedDownloadOptionIndex"] == other
                await tell(one, packets, "commit")
                rest = [packet["type"] async for packet in packets]
                assert rest[0] == "downloadProgress"
                assert rest[-2:] == ["startFinalizing", "success"]
                packets, plan = await planned(one)
                assert plan["nodes"][0]["alreadyOwned"]["modelKey"]

        run(test)

    @pytest.mark.parametrize(("node", "option"), [(1, 0), (0, 5), (0, -1), (0, None)])
    def test_a_choice_that_is_none(
        self, big: FakeHub, tmp_path: Path, node: int, option: int | None
    ) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                packets, _ = await planned(one)
                choice = {"nodeIndex": node, "selectedDownloadOptionIndex": option}
                select = "setSelectedDownloadOptionIndex"
                await tell(one, packets, select, **choice, requestedPlanVersion=2)
                with pytest.raises(Refused, match="does not fit"):
                    await anext(packets)

        run(test)

    def test_a_message_of_the_wrong_shape_is_warned_of_and_the_plan_stays(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                packets, _ = await planned(one)
                await tell(one, packets, "setSelectedDownloadOptionIndex", nodeIndex="x")
                assert (await one.receive())["kind"] == "channelMessageTypeError"
                await tell(one, packets, "cancelPlan")
                assert [packet async for packet in packets] == []

        run(test)

    def test_a_download_of_a_plan_is_stopped_and_goes_on(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        big.hold_after = 300_000

        async def test() -> None:
            async with serving(tmp_path) as server, client(server, "repository") as one:
                packets, _ = await planned(one)
                await tell(one, packets, "commit")
                while (await anext(packets))["update"]["downloadedBytes"] == 0:
                    pass
                await until_held(big)
                async with client(server, "repository", "guest:two") as two:
                    _, seen = await planned(two)
                    assert seen["downloadAction"] == "attachToExistingDownload"
                    assert seen["nodes"][0]["downloadOptions"][0]["availability"] == "downloading"
                await tell(one, packets, "cancelDownload")
                assert {p["type"] async for p in packets} <= {"downloadProgress"}
                big.hold_after = None
                packets, _ = await planned(one, compatibilityTypes=["gguf"])
                await tell(one, packets, "commit")
                assert [p async for p in packets][-1] == {"type": "success"}
                assert big.downloads()[-1].range is not None

        run(test)

    def test_no_model_for_this_server(self, hub: FakeHub, tmp_path: Path) -> None:
        hub.add(REPOSITORY, "model.safetensors", DATA)

        async def test() -> None:
            async with repository(tmp_path) as one:
                with pytest.raises(Refused, match="no model that this server can run"):
                    await planned(one)

        run(test)


class TestFailures:
    def test_a_damaged_download_is_told_and_removed(self, hub: FakeHub, tmp_path: Path) -> None:
        wrong = hashlib.sha256(b"other").hexdigest()
        hub.add(REPOSITORY, "Big-Q8_0.gguf", DATA, sha256=wrong)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"] == "The download of Big-Q8_0.gguf is damaged and was removed."
                assert wrong in error["cause"]
                assert partials(tmp_path) == []
                assert not (tmp_path / FILE).exists()

        run(test)

    def test_a_file_of_another_content_is_replaced_when_the_new_one_is_whole(
        self, big: FakeHub, tmp_path: Path
    ) -> None:
        (tmp_path / FILE).parent.mkdir(parents=True)
        (tmp_path / FILE).write_bytes(bytes(len(DATA)))

        async def test() -> None:
            async with repository(tmp_path) as one:
                packets = await one.collect("downloadModel", downloadIdentifier=FILE)
                assert packets[-1]["type"] == "success"
                assert (tmp_path / FILE).read_bytes() == DATA

        run(test)

    def test_no_room(self, big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = SimpleNamespace(total=10**9, used=10**9, free=5_000_000)

        def disk_usage(_: object) -> SimpleNamespace:
            return usage

        monkeypatch.setattr(shutil, "disk_usage", disk_usage)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"] == f"There is no room for {REPOSITORY}."
                assert "5 MB are free" in error["cause"]
                assert big.downloads() == []

        run(test)

    def test_a_disk_that_fills_up_on_the_way(
        self, big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def put(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(transfer, "_put", put)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"] == f"There is no room for {REPOSITORY}."

        run(test)

    def test_a_folder_that_cannot_be_written(self, big: FakeHub, tmp_path: Path) -> None:
        (tmp_path / "acme").write_text("a file where a folder is needed")

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"].endswith("cannot be written.")

        run(test)

    def test_another_server_is_at_it(self, big: FakeHub, tmp_path: Path) -> None:
        folder = tmp_path / REPOSITORY
        folder.mkdir(parents=True)

        async def test() -> None:
            async with repository(tmp_path) as one:
                with file_lock(folder / ".download.lock", 0):
                    error = await refused(one)
                assert error["title"].startswith("Another server downloads")

        run(test)

    def test_what_the_hub_does_not_have(self, big: FakeHub, tmp_path: Path) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one, "no/body/x.gguf")
                assert error["title"] == f'{big.endpoint} has no repository "no/body".'
                error = await refused(one, f"{REPOSITORY}/Big-Q2_K.gguf")
                assert FILE in error["cause"]
                for name in ("nonsense", "../..", "a/b/c", "a/..", ""):
                    with pytest.raises(Refused, match="no repository"):
                        await options(one, name)
                assert (await refused(one, "nonsense"))[
                    "title"
                ] == 'There is no download "nonsense".'

        run(test)

    def test_a_hub_that_means_harm_writes_nowhere_else(self, hub: FakeHub, tmp_path: Path) -> None:
        hub.add(REPOSITORY, "../../../outside.gguf", DATA, sha256="../../../../digest")
        hub.add("evil/x", "a.gguf", DATA)
        hub.aliases["evil/x"] = "../../evil"
        folder = tmp_path / "a" / "b" / "models"
        folder.mkdir(parents=True)

        async def test() -> None:
            async with repository(folder) as one:
                (option,) = await options(one)
                identifier = option["downloadIdentifier"]
                with suppress(Refused):
                    await one.collect("downloadModel", downloadIdentifier=identifier)
                with pytest.raises(Refused, match="no repository"):
                    await options(one, "evil/x")

        run(test)
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert all(path.is_relative_to(folder / REPOSITORY) for path in written)

    def test_a_catalog_of_lm_studio_is_not_here(self, big: FakeHub, tmp_path: Path) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                identifier = {"type": "catalog", "identifier": "a/b"}
                with pytest.raises(Refused, match="catalog"):
                    await one.call(
                        "getModelDownloadOptions", modelSearchResultIdentifier=identifier
                    )

        run(test)

    @pytest.mark.parametrize("status", [429, 500])
    def test_a_hub_that_cannot_answer(self, big: FakeHub, tmp_path: Path, status: int) -> None:
        big.status = status

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"] == f"{big.endpoint} answers {status}."
                assert "some minutes" in error["suggestion"]

        run(test)

    def test_no_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with fake_hub() as gone:
            pass
        monkeypatch.setenv("HF_ENDPOINT", gone.endpoint)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert error["title"] == f"{gone.endpoint} cannot be reached."
                assert "HF_ENDPOINT" in error["suggestion"]

        run(test)

    def test_offline(self, big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert "HF_HUB_OFFLINE" in error["cause"]
                assert big.requests == []

        run(test)

    def test_the_extra_is_not_installed(
        self, big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "lmstudio_server.hub.remote", raising=False)
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)

        async def test() -> None:
            async with repository(tmp_path) as one:
                error = await refused(one)
                assert "pip install 'lmstudio-server[hub]'" in error["suggestion"]

        run(test)

    def test_an_adapter_is_no_model(self, hub: FakeHub, tmp_path: Path) -> None:
        adapter = gguf(
            {"general.architecture": "llama", "general.type": "adapter"}, [("a.weight", (4, 4))]
        )
        hub.add(REPOSITORY, "Big-Q8_0.gguf", adapter)

        async def test() -> None:
            async with repository(tmp_path) as one:
                assert "no model" in (await refused(one))["title"]

        run(test)

    def test_a_file_that_is_broken_on_the_hub(self, hub: FakeHub, tmp_path: Path) -> None:
        hub.add(REPOSITORY, "Big-Q8_0.gguf", b"GGUF but not really")

        async def test() -> None:
            async with repository(tmp_path) as one:
                assert "cannot be used" in (await refused(one))["title"]

        run(test)


def test_the_hub_is_imported_when_it_is_asked() -> None:
    code = (
        "import sys, lmstudio_server.serving.server; "
        "print([n for n in ('huggingface_hub', 'httpx2') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestAccount:
    """LM Studio's own hub: the truth is that nobody is signed in."""

    def test_nobody_is_signed_in(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                assert await one.call("isAuthenticated") == {"authenticated": False}
                status = await one.call("getAuthenticationStatus")
                assert status == {"authenticationStatus": {"type": "none"}}
                assert await one.call("getWritableArtifactOwners") == {"owners": []}
                assert await one.call("deauthenticate") is None
                assert (await one.call("lmLinkStatus"))["status"] == "offline"

        run(test)

    def test_local_files(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b.txt").write_text("12345")
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "config").write_text("x")

        async def test() -> None:
            async with repository(tmp_path) as one:
                found = await one.call("getLocalArtifactFiles", path=str(tmp_path))
                assert found["fileList"] == {
                    "files": [{"relativePath": "a/b.txt", "sizeBytes": 5}],
                    "usedIgnoreFile": None,
                }
                for path in ("relative", str(tmp_path / "nowhere")):
                    with pytest.raises(Refused, match="no folder"):
                        await one.call("getLocalArtifactFiles", path=path)

        run(test)

    def test_the_rest_says_that_it_is_not_offered(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with repository(tmp_path) as one:
                with pytest.raises(Refused, match="not offered"):
                    await one.call("loginAsComputeDevice", token="t")
                with pytest.raises(Refused, match="not offered"):
                    await one.collect("pushArtifact", path=os.fspath(tmp_path))

        run(test)
