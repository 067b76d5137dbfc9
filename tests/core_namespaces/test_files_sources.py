"""Reading local files: what is taken, what they are called, and what is refused."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from lmstudio_core.errors import LMStudioOSError, LMStudioValueError
from lmstudio_core.files.sources import check_image, check_source, format_of, read_source

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
JPEG = b"\xff\xd8\xff\xe0" + b"rest"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 "


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "png"),
        (JPEG, "jpg"),
        (WEBP, "webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"GIF89a...", "gif"),
        (b"BM....", "bmp"),
        (b"\x00\x00\x00\x1cftypheic", "heic"),
        (b"\x00\x00\x00\x1cftypavif", "avif"),
        (b"%PDF-1.7", "pdf"),
        (b"hello", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_kind(data: bytes, kind: str | None) -> None:
    assert format_of(data) == kind


@pytest.mark.parametrize("data", [PNG, JPEG, WEBP])
def test_images_for_models_pass(data: bytes) -> None:
    check_image(data, "x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a...", "'x.gif' is GIF; images for models are JPEG, PNG or WebP"),
        (b"hello", "is no image"),
        (b"", "is empty"),
    ],
)
def test_other_images_are_refused_by_kind(data: bytes, words: str) -> None:
    with pytest.raises(LMStudioValueError, match=words):
        check_image(data, "x.gif")


def test_every_way_to_pass_a_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    assert read_source(path, None) == (PNG, "cat.png")
    assert read_source(os.fspath(path), None) == (PNG, "cat.png")
    with path.open("rb") as file:
        assert read_source(file, None) == (PNG, "cat.png")
    assert read_source(path, "dog.png") == (PNG, "dog.png")


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_are_named_after_their_kind(wrap: Any) -> None:
    assert read_source(wrap(PNG), None) == (PNG, "image.png")
    assert read_source(wrap(b"%PDF-1.7"), None) == (b"%PDF-1.7", "document.pdf")
    assert read_source(wrap(b"hello"), None) == (b"hello", "file")
    assert read_source(wrap(PNG), "cat.png") == (PNG, "cat.png")


def test_bytes_are_never_a_path(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    assert read_source(os.fsencode(path), None)[0] == os.fsencode(path)


def test_a_file_object_without_a_real_name_is_named_after_its_kind() -> None:
    for name in (3, "<stdin>", ""):
        file = io.BytesIO(PNG)
        file.name = name
        assert read_source(file, None) == (PNG, "image.png")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nothing.png"
    with pytest.raises(LMStudioOSError, match=r"nothing\.png") as caught:
        read_source(path, None)
    assert caught.value.filename == os.fspath(path)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(LMStudioOSError, match=tmp_path.name):
        read_source(tmp_path, None)


def test_file_objects_that_fail_are_named() -> None:
    class Broken(io.BytesIO):
        name = "broken.png"

        def read(self, *_: Any) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(LMStudioOSError, match=r"the disk is gone.*broken\.png"):
        read_source(Broken(), None)
    closed = io.BytesIO(PNG)
    closed.close()
    with pytest.raises(LMStudioValueError, match="cannot be read"):
        read_source(closed, None)


def test_a_file_in_text_mode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello", encoding="utf-8")
    with (
        path.open(encoding="utf-8") as file,
        pytest.raises(LMStudioValueError, match="binary mode"),
    ):
        read_source(file, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("src", "name", "words"),
    [
        ("https://example.org/cat.png", None, "is a URL"),
        (42, None, "not int"),
        (None, None, "not NoneType"),
        (PNG, "", "name must be"),
        (PNG, 7, "name must be"),
    ],
)
def test_what_is_no_file_is_refused_before_reading(src: Any, name: Any, words: str) -> None:
    with pytest.raises(LMStudioValueError, match=words):
        check_source(src, name)


def test_a_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(LMStudioValueError, match="not a path"):
        read_source("a\0b", None)


class Picture:
    """What ``PIL.Image`` objects are as far as uploads go."""

    size = (1, 1)

    def __init__(self, mode: str = "RGB", trouble: OSError | None = None) -> None:
        self.mode = mode
        self.trouble = trouble

    def convert(self, mode: str) -> Picture:
        return Picture(mode)

    def save(self, fp: Any, format: str | None = None) -> None:  # noqa: A002
        if self.trouble is not None:
            raise self.trouble
        assert format == "PNG"
        fp.write(b"\x89PNG\r\n\x1a\n" + self.mode.encode())


class TestPictures:
    @pytest.mark.parametrize(
        ("mode", "written"), [("RGBA", b"RGBA"), ("CMYK", b"RGB"), ("HSV", b"RGB")]
    )
    def test_they_become_png(self, mode: str, written: bytes) -> None:
        picture = Picture(mode)
        check_source(picture, None)
        data, name = read_source(picture, None)
        assert name == "image.png"
        assert data.endswith(b"\n" + written)
        check_image(data, name)

    def test_one_that_cannot_be_written(self) -> None:
        with pytest.raises(LMStudioOSError, match="cannot write"):
            read_source(Picture(trouble=OSError("cannot write")), None)

    def test_the_real_ones(self) -> None:
        image = pytest.importorskip("PIL.Image").new("CMYK", (2, 2))
        data, name = read_source(image, "red.png")
        assert name == "red.png"
        check_image(data, name)


PNG_URL = "data:image/png;base64,iVBORw0KGgo="


class TestDataUrls:
    @pytest.mark.parametrize(
        "url", [PNG_URL, "DATA:image/png;BASE64,iVBORw0KGgo%3D", "data:;base64,iVBO Rw0K\nGgo="]
    )
    def test_base64(self, url: str) -> None:
        check_source(url, None)
        assert read_source(url, None) == (b"\x89PNG\r\n\x1a\n", "image.png")

    def test_plain(self) -> None:
        assert read_source("data:text/plain,a%20b", "a.txt") == (b"a b", "a.txt")

    @pytest.mark.parametrize(
        "url", ["data:image/png;base64", "data:;base64,A", "data:;base64,é%FF"]
    )
    def test_what_is_none(self, url: str) -> None:
        with pytest.raises(LMStudioValueError, match="is no data URL"):
            read_source(url, None)
