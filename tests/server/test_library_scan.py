"""The models on disk: found, named, described, asked for."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf, model, put
from pocket_models import POCKET_FOLDER

from lmstudio_server.library import (
    Library,
    ModelFile,
    default_folders,
    library,
    lmstudio_home,
    own_folder,
)
from lmstudio_server.library.model_file import count_words, quantization_bits

Q4_K_M, Q8_0 = 15, 7


def scan(folder: Path) -> dict[str, ModelFile]:
    models = Library([folder], bundled=False).scan()
    by_key = {model.key: model for model in models}
    assert len(by_key) == len(models), "keys have to be unique"
    return by_key


def test_description_of_a_model(tmp_path: Path) -> None:
    data = model(
        llama__context_length=131072,
        general__file_type=Q4_K_M,
        general__size_label="1.2B",
        tokenizer__chat_template="{% if tools %}{{ tools | tojson }}{% endif %}",
    )
    file = put(tmp_path, "acme/Small-Llama-1B-GGUF/small-llama-q4_k_m.gguf", data)
    assert list(scan(tmp_path).values()) == [
        ModelFile(
            key="small-llama-1b",
            file=file,
            path="acme/Small-Llama-1B-GGUF/small-llama-q4_k_m.gguf",
            kind="llm",
            display_name="Small Llama 1B",
            publisher="acme",
            architecture="llama",
            params_string="1.2B",
            quantization_name="Q4_K_M",
            quantization_bits=4,
            size_bytes=len(data),
            max_context_length=131072,
            vision=False,
            trained_for_tool_use=True,
            reasoning=False,
        )
    ]


def test_several_quantizations_have_keys_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "a/M-GGUF/m-Q8_0.gguf", model(general__file_type=Q8_0))
    put(tmp_path, "a/M-GGUF/m-Q4_K_M.gguf", model(general__file_type=Q4_K_M))
    put(tmp_path, "a/M-GGUF/m-other.gguf", model())
    put(tmp_path, "a/N-GGUF/n-Q8_0.gguf", model())
    assert sorted(scan(tmp_path)) == ["m@m-other", "m@q4_k_m", "m@q8_0", "n"]


def test_same_name_from_two_publishers_and_same_quantization_twice(tmp_path: Path) -> None:
    put(tmp_path, "a/M-GGUF/m.gguf", model())
    put(tmp_path, "B/M-GGUF/m.gguf", model())
    put(tmp_path, "c/N/one-Q8_0.gguf", model())
    put(tmp_path, "c/N/two-Q8_0.gguf", model())
    assert sorted(scan(tmp_path)) == ["a/m", "b/m", "c/n/one-q8_0", "c/n/two-q8_0"]


def test_files_less_deep_than_lm_studio_has_them(tmp_path: Path) -> None:
    put(tmp_path, "Flat-7B-Q4_K_M.gguf", model())
    put(tmp_path, "Folder/file.gguf", model())
    models = scan(tmp_path)
    assert sorted(models) == ["flat-7b", "folder"]
    assert models["flat-7b"].quantization_name == "Q4_K_M"
    assert models["flat-7b"].publisher == models["folder"].publisher == "local"


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"architecture": "nomic-bert"}, "embedding"),
        ({"architecture": "bert"}, "embedding"),
        ({"architecture": "qwen3", "qwen3__pooling_type": 3}, "embedding"),
        ({"architecture": "qwen3", "qwen3__pooling_type": 0}, "llm"),
        ({"architecture": "qwen3"}, "llm"),
    ],
)
def test_kind(metadata: dict[str, Any], kind: str, tmp_path: Path) -> None:
    put(tmp_path, "a/Embed-GGUF/x.gguf", model(**metadata))
    (found,) = scan(tmp_path).values()
    assert found.kind == kind
    assert found.key == ("text-embedding-embed" if kind == "embedding" else "embed")
    assert Library([tmp_path]).find("embed") == found


def test_what_is_no_model_is_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "a/V-GGUF/v-Q8_0.gguf", model())
    projector = put(tmp_path, "a/V-GGUF/mmproj-v-f16.gguf", model("clip", general__type="mmproj"))
    put(tmp_path, "a/L/lora.gguf", gguf({"general.type": "adapter"}))
    put(tmp_path, "a/I/imatrix.gguf", gguf({"general.type": "imatrix"}))
    put(tmp_path, "a/T/notes.txt", b"")
    put(tmp_path, "a/.hidden/h.gguf", model())
    put(tmp_path, "a/D/._resource.gguf", b"finder")
    (found,) = scan(tmp_path).values()
    assert found.key == "v"
    assert found.vision
    assert found.mmproj == projector


def test_split_model_is_one(tmp_path: Path) -> None:
    parts = [f"a/S-GGUF/s-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for part in parts:
        put(tmp_path, part, model(llama__context_length=8))
    (found,) = scan(tmp_path).values()
    assert (found.key, found.path, found.problem) == ("s", parts[0], None)
    assert found.quantization_name == "Q8_0"
    assert found.size_bytes == 3 * len(model(llama__context_length=8))
    (tmp_path / parts[1]).unlink()
    (found,) = scan(tmp_path).values()
    assert found.problem == "parts of the model are missing: s-Q8_0-00002-of-00003.gguf"


@pytest.mark.parametrize("data", [b"", b"junk", model()[:-1]])
def test_broken_file_is_listed_with_its_problem(data: bytes, tmp_path: Path) -> None:
    put(tmp_path, "a/Broken-Q4_0-GGUF/broken-Q4_0.gguf", data)
    put(tmp_path, "a/Good-GGUF/good.gguf", model())
    models = scan(tmp_path)
    assert models["good"].problem is None
    broken = models["broken-q4_0"]
    assert broken.problem
    assert (broken.kind, broken.quantization_bits, broken.size_bytes) == ("llm", 4, len(data))


def test_the_log_tells_of_a_broken_file_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "a/B-GGUF/b.gguf", b"junk")
    put(tmp_path, "a/V/model.yaml", b"{")
    library = Library([tmp_path], bundled=False)
    for _ in range(2):
        library.scan()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert all("left out" in words for words in told)
    put(tmp_path, "a/B-GGUF/b.gguf", model())
    library.scan()
    put(tmp_path, "a/B-GGUF/b.gguf", b"junk")
    library.scan()
    assert len(caplog.records) == 3


def test_the_log_tells_of_a_folder_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "a/Shut-GGUF/x.gguf", model())
    put(tmp_path, "a/Open-GGUF/y.gguf", model())
    real = os.scandir

    def scandir(path: str) -> Any:
        if "Shut" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    library = Library([tmp_path, tmp_path / "nowhere"], bundled=False)
    for _ in range(2):
        assert [found.key for found in library.scan()] == ["open"]
    [record] = caplog.records
    assert "Shut-GGUF: it cannot be read: Permission denied" in record.getMessage()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_unreadable_file_is_listed(tmp_path: Path) -> None:
    put(tmp_path, "a/M/m.gguf", model()).chmod(0)
    assert "cannot be read" in str(scan(tmp_path)["m"].problem)


def test_rescan_reads_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = library.read_header

    def counting(path: Path) -> Any:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(library, "read_header", counting)
    put(tmp_path, "a/One/one.gguf", model())
    broken = put(tmp_path, "a/Two/two.gguf", b"junk")
    models = Library([tmp_path], bundled=False)
    models.scan()
    models.scan()
    assert read == ["one.gguf", "two.gguf"]
    read.clear()
    broken.write_bytes(model())
    new = put(tmp_path, "a/Three/three.gguf", model())
    assert [found.problem for found in models.scan()] == [None, None, None]
    assert sorted(read) == ["three.gguf", "two.gguf"]
    new.unlink()
    assert [found.key for found in models.scan()] == ["one", "two"]


def test_first_folder_counts_and_missing_ones_do_not_matter(tmp_path: Path) -> None:
    put(tmp_path, "1/a/M/m.gguf", model(llama__context_length=1))
    put(tmp_path, "2/a/M/m.gguf", model(llama__context_length=2))
    put(tmp_path, "2/a/N/n.gguf", model())
    folders = [tmp_path / "none", tmp_path / "1", tmp_path / "2"]
    models = Library(folders, bundled=False).scan()
    assert [(found.key, found.max_context_length) for found in models] == [("m", 1), ("n", 0)]


def test_links_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path, "other disk/M/m.gguf", model())
    models = tmp_path / "models"
    models.mkdir()
    (models / "publisher").symlink_to(tmp_path / "other disk", target_is_directory=True)
    (tmp_path / "other disk" / "loop").symlink_to(models, target_is_directory=True)
    assert list(scan(models)) == ["m"]


@pytest.mark.parametrize(
    "asked",
    [
        "acme/Big-GGUF/big-Q8_0.gguf",
        "big@q8_0",
        " BIG@Q8_0 ",
        "acme\\Big-GGUF\\big-Q8_0.gguf",
        "big-Q8_0.gguf",
        "big-q8_0",
    ],
)
def test_find_exactly(asked: str, tmp_path: Path) -> None:
    put(tmp_path, "acme/Big-GGUF/big-Q4_K_M.gguf", model())
    put(tmp_path, "acme/Big-GGUF/big-Q8_0.gguf", model())
    found = Library([tmp_path]).find(asked)
    assert found is not None
    assert found.key == "big@q8_0"


@pytest.mark.parametrize("asked", ["big", "acme/Big-GGUF", "acme/big-gguf/", "Big-GGUF", "acme"])
def test_find_leniently_prefers_what_can_be_loaded(asked: str, tmp_path: Path) -> None:
    put(tmp_path, "acme/Big-GGUF/big-Q4_K_M.gguf", b"junk")
    put(tmp_path, "acme/Big-GGUF/big-Q8_0.gguf", model())
    found = Library([tmp_path]).find(asked)
    assert found is not None
    assert found.key == "big@q8_0"


@pytest.mark.parametrize("asked", ["", "/", "bi", "acme/Bi", "ig-Q8_0.gguf"])
def test_find_does_not_guess(asked: str, tmp_path: Path) -> None:
    put(tmp_path, "acme/Big-GGUF/big-Q8_0.gguf", model())
    assert Library([tmp_path]).find(asked) is None


def test_close_matches(tmp_path: Path) -> None:
    put(tmp_path, "a/Qwen-Small/q.gguf", model())
    put(tmp_path, "a/Qwen-Large/q.gguf", model())
    models = Library([tmp_path])
    assert models.close_matches("pokcet")[0] == "pocket"
    assert set(models.close_matches("qwen", 2)) == {"qwen-small", "qwen-large"}
    assert models.close_matches("qwen", 1) in (["qwen-large"], ["qwen-small"])
    for nothing_like_it in ("zzzzzz", "nope", ""):
        assert models.close_matches(nothing_like_it) == []


def test_pocket_models_come_last_and_say_what_they_are(tmp_path: Path) -> None:
    put(tmp_path, "z/Zebra/zebra.gguf", model())
    models = Library([tmp_path]).scan()
    assert [m.key for m in models] == ["zebra", "pocket", "pocket-think", "pocket-embedding"]
    pockets = models[1:]
    assert [m.kind for m in pockets] == ["llm", "llm", "embedding"]
    assert len({m.path for m in pockets}) == 3
    for pocket in pockets:
        assert "tiny test model" in pocket.display_name
        assert pocket.publisher == "lmstudio-python"
        assert pocket.file.is_relative_to(POCKET_FOLDER)
        assert pocket.file.is_file()
        assert (pocket.quantization_name, pocket.quantization_bits) == ("Q8_0", 8)
        assert pocket.max_context_length == 2048
        assert pocket.problem is None
    assert [m.reasoning for m in pockets] == [False, True, False]
    assert [m.trained_for_tool_use for m in pockets] == [True, True, False]


def test_own_model_called_pocket_takes_the_name(tmp_path: Path) -> None:
    mine = put(tmp_path, "me/Pocket-GGUF/p.gguf", model())
    found = Library([tmp_path]).find("pocket")
    assert found is not None
    assert found.file == mine


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, None),
        (999, "999"),
        (984_192, "984K"),
        (1_235_814_432, "1.2B"),
        (7_000_000_000, "7B"),
        (70_553_706_496, "71B"),
        (1_500_000_000_000, "1.5T"),
    ],
)
def test_parameters_in_words(count: int, words: str | None) -> None:
    assert count_words(count) == words


@pytest.mark.parametrize(
    ("name", "bits"), [("Q4_K_M", 4), ("IQ2_XXS", 2), ("BF16", 16), ("MXFP4", 4), (None, None)]
)
def test_bits(name: str | None, bits: int | None) -> None:
    assert quantization_bits(name) == bits


def test_lmstudio_home(tmp_path: Path) -> None:
    assert lmstudio_home(tmp_path) == tmp_path / ".lmstudio"
    (tmp_path / ".cache" / "lm-studio").mkdir(parents=True)
    assert lmstudio_home(tmp_path) == tmp_path / ".cache" / "lm-studio"
    (tmp_path / ".lmstudio-home-pointer").write_text(f" {tmp_path / 'elsewhere'}\n")
    assert lmstudio_home(tmp_path) == tmp_path / "elsewhere"
    (tmp_path / ".lmstudio-home-pointer").write_bytes(b"\xff\xfe")
    assert lmstudio_home(tmp_path) == tmp_path / ".cache" / "lm-studio"


def test_default_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LMSTUDIO_MODELS", os.pathsep.join(["/one", "", "/two"]))
    home = tmp_path / ".lmstudio"
    assert default_folders() == [Path("/one"), Path("/two"), home / "models", own_folder()]
    home.mkdir()
    settings = home / "settings.json"
    settings.write_text(json.dumps({"downloadsFolder": str(tmp_path / "big disk")}))
    assert tmp_path / "big disk" in default_folders()
    for nonsense in ("no json", "[]", '{"downloadsFolder": 3}', "{}"):
        settings.write_text(nonsense)
        assert default_folders()[2:3] == [home / "models"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_own_folder_of_each_system(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    place = {"linux": ".local/share", "darwin": "Application Support", "win32": "AppData/Local"}
    folder = own_folder()
    assert place[platform] in folder.as_posix()
    assert folder.parts[-2:] == ("lmstudio-server", "models")
