"""What proxies, mirrors and login pages send in place of a file: nothing of it becomes a model."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from fake_hub import Answer, FakeHub, partials
from hub_scenes import DATA, FILE, REPOSITORY, options, refused, repository
from wire_client import run

from lmstudio_server.hub import remote, transfer

pytest.importorskip("huggingface_hub")

SIZE = len(DATA)
PAGE = b"<html>Please sign in.</html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}
PART = SIZE // 3


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that downloads waited, which pass at once."""
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(transfer, "_pause", pause)
    monkeypatch.setattr(remote, "_pause", pause)
    return waits


def begun(folder: Path, big: FakeHub, arrived: int = PART) -> None:
    """A download that broke off after some bytes."""
    big.breaks = [arrived, 0, 0, 0]

    async def test() -> None:
        async with repository(folder) as one:
            await refused(one)

    run(test)
    (partial,) = partials(folder)
    assert partial.read_bytes() == DATA[:arrived]
    big.breaks.clear()
    big.requests.clear()


def downloaded(folder: Path) -> None:
    """The next time it is whole."""

    async def test() -> None:
        async with repository(folder) as one:
            packets = await one.collect("downloadModel", downloadIdentifier=FILE)
            assert packets[-1]["type"] == "success"

    run(test)
    assert (folder / FILE).read_bytes() == DATA
    assert partials(folder) == []


OTHERS: dict[str, Callable[[], Answer]] = {
    "a page": lambda: Answer(PAGE, headers=HTML),
    "a page of the right length": lambda: Answer(PAGE.ljust(SIZE), headers=HTML),
    "a page without a length": lambda: Answer(PAGE, headers=HTML, chunked=True),
    "a page without a type": lambda: Answer(PAGE),
    "a page with neither": lambda: Answer(PAGE, chunked=True),
    "a page as plain text": lambda: Answer(PAGE, headers={"Content-Type": "text/plain"}),
    "a short file": lambda: Answer(DATA[:-1]),
    "a long file": lambda: Answer(DATA + b"x"),
    "nothing": lambda: Answer(b"", 204),
    "a part of another file": lambda: Answer(
        DATA[PART:], 206, {"Content-Range": f"bytes {PART}-{SIZE}/{SIZE + 1}"}
    ),
    "a page as a part": lambda: Answer(
        PAGE, 206, {**HTML, "Content-Range": f"bytes {PART}-{SIZE - 1}/{SIZE}"}
    ),
    "a coding that nobody knows": lambda: Answer(
        DATA, headers={"Content-Encoding": "secret"}, chunked=True
    ),
    "a compressed page": lambda: Answer(
        gzip.compress(PAGE), headers={"Content-Encoding": "gzip"}, chunked=True
    ),
}


@pytest.mark.parametrize("arrived", [0, PART])
def test_what_is_no_file_is_told_and_not_kept(
    big: FakeHub, tmp_path: Path, waited: list[float], arrived: int
) -> None:
    if arrived:
        begun(tmp_path, big)
    waited.clear()

    async def test() -> None:
        async with repository(tmp_path) as one:
            for name, other in OTHERS.items():
                big.other = [other()]
                error = await refused(one)
                assert error["title"].startswith("What arrives in place of Big-Q8_0.gguf"), name
                assert "127.0.0.1" in error["cause"], name
                assert "login page" in error["suggestion"], name
                kept = [path.read_bytes() for path in partials(tmp_path)]
                assert kept == ([DATA[:PART]] if arrived else []), name
                assert not (tmp_path / FILE).exists(), name

    run(test)
    assert waited == []
    downloaded(tmp_path)
    assert big.downloads()[-1].range == (f"bytes={PART}-" if arrived else None)


PARTS: dict[str, Callable[[], Answer]] = {
    "another part": lambda: Answer(DATA[1:], 206, {"Content-Range": f"bytes 1-{SIZE - 1}/{SIZE}"}),
    "no part": lambda: Answer(b"", 416, {"Content-Range": f"bytes */{SIZE}"}),
    "a part that does not say which": lambda: Answer(DATA[1:], 206),
    "several parts": lambda: Answer(
        DATA[PART:], 206, {"Content-Type": "multipart/byteranges; boundary=x"}
    ),
    "a compressed part": lambda: Answer(
        gzip.compress(DATA)[5:],
        206,
        {"Content-Range": f"bytes {PART}-{SIZE - 1}/{SIZE}", "Content-Encoding": "gzip"},
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_another_part_than_asked_for_begins_anew(
    big: FakeHub, tmp_path: Path, waited: list[float], part: str
) -> None:
    begun(tmp_path, big)
    big.other = [PARTS[part]()]
    downloaded(tmp_path)
    assert [request.range for request in big.downloads()] == [f"bytes={PART}-", None]


def test_a_mirror_that_always_sends_another_part_is_given_up(
    big: FakeHub, tmp_path: Path, waited: list[float]
) -> None:
    big.other = [PARTS["another part"]() for _ in range(9)]

    async def test() -> None:
        async with repository(tmp_path) as one:
            assert "another part" in (await refused(one))["cause"]

    run(test)
    assert len(big.downloads()) == 1 + len(transfer.RETRY_SECONDS)
    big.other.clear()
    downloaded(tmp_path)


@pytest.mark.parametrize(
    ("coding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_what_a_proxy_compressed_is_undone(
    big: FakeHub, tmp_path: Path, coding: str, squeeze: Callable[[bytes], bytes]
) -> None:
    big.other = [Answer(squeeze(DATA), headers={"Content-Encoding": coding})]
    downloaded(tmp_path)
    assert len(big.downloads()) == 1


def test_a_file_as_mirrors_send_it(big: FakeHub, tmp_path: Path) -> None:
    big.other = [Answer(DATA, 203, {"Content-Type": "text/plain"}, chunked=True)]
    downloaded(tmp_path)
    assert len(big.downloads()) == 1


def test_a_hub_that_is_busy_is_waited_for(
    big: FakeHub, tmp_path: Path, waited: list[float]
) -> None:
    later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)

    async def test() -> None:
        async with repository(tmp_path) as one:
            (option,) = await options(one)
            big.busy = ["7"]  # the look at the repository
            big.other = [Answer(b"", 429, {"Retry-After": wait}) for wait in ("60", later)]
            identifier = option["downloadIdentifier"]
            packets = await one.collect("downloadModel", downloadIdentifier=identifier)
            assert packets[-1]["type"] == "success"

    run(test)
    assert waited[:2] == [7, 60]
    assert 90 < waited[2] <= 100
    assert (tmp_path / FILE).read_bytes() == DATA


def test_a_hub_that_asks_for_hours_is_told(
    big: FakeHub, tmp_path: Path, waited: list[float]
) -> None:
    begun(tmp_path, big)
    waited.clear()
    big.other = [Answer(b"", 429, {"Retry-After": "7200"})]

    async def test() -> None:
        async with repository(tmp_path) as one:
            assert "7200 seconds" in (await refused(one))["suggestion"]
            big.busy = ["900"]
            assert "900 seconds" in (await refused(one, f"{REPOSITORY}/x"))["suggestion"]

    run(test)
    assert waited == []
    downloaded(tmp_path)
    assert big.downloads()[-1].range == f"bytes={PART}-"
