"""Searching a hub that the test makes, and who is signed in; every packet is checked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import FakeHub
from hub_scenes import (
    DATA,
    REPOSITORY,
    repository,
)
from wire_client import Refused, run

pytest.importorskip("huggingface_hub")


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
                for term in ("x", "\ud800"):
                    found = await one.call("searchModels", opts={"searchTerm": term})
                    assert found == {"results": []}
                with pytest.raises(Refused, match="no repository"):
                    await one.call("searchModels", opts={"searchTerm": "no/body"})

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
