"""Downloads by LM Studio's REST API, from a hub of our own."""

from __future__ import annotations

import socket
import sys
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fake_hub import COMMIT
from http_client import get, post
from hub_scenes import DATA, REPOSITORY, serving, until_held
from wire_client import client, run

from lmstudio_server.doors.errors import DoorError
from lmstudio_server.doors.rest.downloads import repository_and_file

if TYPE_CHECKING:
    from pathlib import Path

    from fake_hub import FakeHub
    from http_client import Answer

    from lmstudio_server.serving.server import RunningServer

pytest.importorskip("huggingface_hub")

PATH = "/api/v1/models/download"
LINK = f"https://huggingface.co/{REPOSITORY}"


async def download(server: RunningServer, **body: Any) -> Answer:
    return await post(server, PATH, **body)


async def ended(server: RunningServer, job: str) -> dict[str, Any]:
    while (state := (await get(server, f"{PATH}/status/{job}")).json)["status"] == "downloading":
        pass
    return state


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("acme/Big-GGUF", ("acme/Big-GGUF", None)),
        (LINK, ("acme/Big-GGUF", None)),
        (f" {LINK}/ ", ("acme/Big-GGUF", None)),
        (f"{LINK}/tree/main", ("acme/Big-GGUF", None)),
        (f"{LINK}/blob/main/a/Big%20Q8.gguf?x=1", ("acme/Big-GGUF", "a/Big Q8.gguf")),
        ("https://hf.co/acme/Big-GGUF/resolve/main/b.gguf", ("acme/Big-GGUF", "b.gguf")),
    ],
)
def test_what_a_request_names(model: str, expected: tuple[str, str | None]) -> None:
    assert repository_and_file(model) == expected
    mirrored = model.replace("huggingface.co", "hub.example:8080")
    assert repository_and_file(mirrored, "http://hub.example:8080") == expected


def test_a_link_may_do_without_its_scheme() -> None:
    assert repository_and_file("huggingface.co/acme/Big-GGUF") == ("acme/Big-GGUF", None)


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("", 400),
        ("big", 400),
        ("a/b/c", 400),
        (f"a/{'b' * 129}", 400),
        ("https://evil.example/acme/Big-GGUF", 400),
        ("https://huggingface.co@evil.example/acme/Big", 400),
        ("https://huggingface.co/acme", 400),
        ("https://lmstudio.ai/models/qwen/qwen3", 501),
        ("https:///acme/Big-GGUF", 400),
        ("ftp://huggingface.co/acme/Big-GGUF", 400),
        ("http://[x/acme/Big-GGUF", 400),
    ],
)
def test_what_names_nothing(model: str, status: int) -> None:
    with pytest.raises(DoorError) as caught:
        repository_and_file(model)
    assert (caught.value.status, caught.value.param) == (status, "model")


def test_a_download_goes_on_by_itself(
    big: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    async def test() -> None:
        big.hold_after = 200_000
        async with serving(tmp_path) as server:
            job = (await download(server, model=LINK)).json
            assert job["status"] == "downloading"
            assert job["total_size_bytes"] == len(DATA)
            assert job["bytes_per_second"] >= 0
            assert datetime.fromisoformat(job["started_at"].replace("Z", "+00:00"))
            await until_held(big)
            # Who asks again is told of the same one.
            assert (await download(server, model=LINK)).json["job_id"] == job["job_id"]
            assert (await get(server, f"{PATH}/status")).json["downloading"]
            big.release.set()
            done = await ended(server, job["job_id"])
            assert (done["status"], done["downloaded_bytes"]) == ("completed", len(DATA))
            assert done["completed_at"] >= done["started_at"]
            assert "bytes_per_second" not in done
            assert (tmp_path / REPOSITORY / "Big-Q8_0.gguf").read_bytes() == DATA
            models = (await get(server, "/api/v1/models")).json["models"]
            assert "big" in [model["key"] for model in models]
            again = await download(server, model=LINK, quantization="q8_0")
            assert again.json == {"status": "already_downloaded"}
            assert (await download(server, model=LINK)).json == {"status": "already_downloaded"}
            jobs = (await get(server, f"{PATH}/status")).json
            assert [len(jobs[k]) for k in ("downloading", "completed", "failed")] == [0, 1, 0]

    run(test)
    # What the hub answers may hold signed addresses.
    assert not [record.name for record in caplog.records if record.name.startswith("http")]


def test_the_one_that_is_asked_for(big: FakeHub, tmp_path: Path) -> None:
    async def test() -> None:
        big.add(REPOSITORY, "Big-F16.gguf", DATA + bytes(32))
        async with serving(tmp_path) as server:
            wrong = await download(server, model=REPOSITORY, quantization="Q2_K")
            assert (wrong.status, wrong.error["param"]) == (404, "quantization")
            assert "Q8_0, F16" in wrong.error["message"]
            job = (await download(server, model=REPOSITORY, quantization="f16")).json
            assert job["total_size_bytes"] == len(DATA) + 32
            await ended(server, job["job_id"])
            assert [file.name for file in (tmp_path / REPOSITORY).glob("*.gguf")] == [
                "Big-F16.gguf"
            ]
            link = f"{LINK}/blob/{COMMIT}/Big-Q8_0.gguf"
            job = (await download(server, model=link)).json
            assert (await ended(server, job["job_id"]))["status"] == "completed"
            missing = await download(server, model=f"{LINK}/blob/main/other.gguf")
            assert missing.status == 404

    run(test)


def test_failures(big: FakeHub, tmp_path: Path) -> None:
    async def test() -> None:
        big.add("acme/Bad-GGUF", "Bad-Q8_0.gguf", DATA, sha256="0" * 64)
        big.add("acme/Text", "README.md", b"hello")
        async with serving(tmp_path) as server:
            unknown = await download(server, model="acme/nothing")
            assert (unknown.status, unknown.error["type"]) == (404, "model_not_found")
            assert (await download(server, model="acme/Text")).status == 400
            assert (await download(server)).error["code"] == "missing_required_parameter"
            assert (await download(server, model=5)).error["param"] == "model"
            assert (await get(server, f"{PATH}/status/job_x")).status == 404
            job = (await download(server, model="acme/Bad-GGUF")).json
            bad = await ended(server, job["job_id"])
            assert bad["status"] == "failed"
            assert "damaged" in bad["error"]["message"]
            # It is no hindrance: the next request begins anew.
            again = (await download(server, model="acme/Bad-GGUF")).json
            assert again["job_id"] != job["job_id"]
            big.status = 503
            down = await download(server, model=REPOSITORY)
            assert (down.status, down.headers["x-should-retry"]) == (502, "true")

    run(test)


def test_the_extra_is_not_installed(
    big: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "lmstudio_server.hub.remote", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    async def test() -> None:
        async with serving(tmp_path) as server:
            answer = await download(server, model=REPOSITORY)
            assert (answer.status, answer.error["type"]) == (501, "not_implemented")
            assert 'pip install "huggingface-hub' in answer.error["message"]
            assert big.requests == []

    run(test)


def test_a_server_ends_in_the_middle_and_not_as_idle(big: FakeHub, tmp_path: Path) -> None:
    async def test() -> None:
        big.hold_after = 200_000
        async with serving(tmp_path, idle_timeout=3600) as server:
            job = (await download(server, model=REPOSITORY)).json
            path = f"{PATH}/status/{job['job_id']}"
            while not (arrived := (await get(server, path)).json["downloaded_bytes"]):
                pass
            # The requests are over; what counts is the download.
            while (count := (await get(server, "/lms-status")).json["connections"]) > 1:
                pass
            assert count == 1
        big.release.set()
        [part] = (tmp_path / REPOSITORY).glob(".*.part")
        assert part.stat().st_size >= arrived
        async with serving(tmp_path) as server:
            assert (await get(server, f"{PATH}/status/{job['job_id']}")).status == 404
            again = (await download(server, model=REPOSITORY)).json
            assert again["downloaded_bytes"] >= arrived
            assert (await ended(server, again["job_id"]))["status"] == "completed"

    run(test)


def test_both_ports_know_the_same_downloads(big: FakeHub, tmp_path: Path) -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        async with serving(tmp_path) as server, client(server, "system") as system:
            await system.call("startHttpServer", port=port)
            second: Any = SimpleNamespace(port=port)
            job = (await download(second, model=REPOSITORY)).json
            assert (await ended(server, job["job_id"]))["status"] == "completed"

    run(test)
