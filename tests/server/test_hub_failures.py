"""Downloads that cannot work out; every packet is checked."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_hub import FakeHub, fake_hub, partials
from gguf_files import gguf
from hub_scenes import (
    DATA,
    FILE,
    REPOSITORY,
    options,
    refused,
    repository,
)
from wire_client import Refused, run

from lmstudio_server.daemon.lock import file_lock
from lmstudio_server.hub import transfer

pytest.importorskip("huggingface_hub")


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
                assert 'pip install "huggingface-hub' in error["suggestion"]

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
