"""Files and pictures in the forms that people have them in."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.sources import check_image, check_source, read_source


def png(side: int = 2) -> bytes:
    written = io.BytesIO()
    Image.effect_noise((side, side), 50).save(written, format="PNG")
    return written.getvalue()


def test_paths_as_urls_and_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    file = tmp_path / "a b.png"
    file.write_bytes(png())
    url = file.as_uri()
    for src in (file, str(file), url, url.replace("file://", "file://localhost"), "~/a b.png"):
        check_source(src, None)
        assert read_source(src, None) == (file.read_bytes(), "a b.png"), src
    assert read_source(Path("~/a b.png"), "n")[1] == "n"
    with pytest.raises(LMStudioValueError, match="file of 'host'"):
        read_source("file://host/a.png", None)


MODES = [
    *("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA"),
    *("RGBX", "RGBa", "La", "I;16", "I;16L", "I;16B", "I;16N"),
]


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_every_mode(mode: str) -> None:
    data, name = read_source(Image.new(mode, (3, 2)), None)
    check_image(data, name)
    assert Image.open(io.BytesIO(data)).size == (3, 2)


@pytest.mark.parametrize(
    ("mode", "low", "high"), [("I;16", 0, 65535), ("F", 0.0, 1.0), ("I", 5, 200)]
)
def test_deep_pictures_keep_their_contrast(mode: str, low: float, high: float) -> None:
    picture = Image.new(mode, (2, 1), low)
    picture.putpixel((1, 0), high)
    shown = Image.open(io.BytesIO(read_source(picture, None)[0]))
    assert shown.getpixel((0, 0)) in (0, low)
    assert shown.getpixel((1, 0)) in (255, high)


@pytest.mark.parametrize("length", [120, 5_000, 2_000_000])
def test_base64_given_as_a_path_is_named_and_not_printed(length: int) -> None:
    text = base64.b64encode(png(40) + bytes(length)).decode()
    with pytest.raises(LMStudioValueError, match=r"base64.b64decode\(text\)") as caught:
        read_source(text, None)
    assert len(str(caught.value)) < 300


def test_what_is_too_long_for_a_path_is_not_printed_either() -> None:
    with pytest.raises(LMStudioValueError, match="6000 characters") as caught:
        read_source("x-" * 3000, None)
    assert len(str(caught.value)) < 300
