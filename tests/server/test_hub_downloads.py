"""Downloading from a hub that the test makes, to the end or not; every packet is checked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from fake_hub import PATIENCE, FakeHub, partials
from gguf_files import model
from hub_scenes import (
    DATA,
    EYES,
    FILE,
    REPOSITORY,
    options,
    refused,
    repository,
    serving,
    until_held,
)
from wire_client import Client, client, run

from lmstudio_server.hub import downloads, transfer

pytest.importorskip("huggingface_hub")


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
