"""Virtual models and variants: one name and settings for several files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from gguf_files import model, put
from wire_client import client, fake_server, load, query, run, stack

from lmstudio_server.library import Library

Q8_0, Q4_K_M = 7, 15

QWEN = """
model: Qwen/qwen-small
base:
  - key: community/qwen-small-gguf
    sources:
      - {type: huggingface, user: community, repo: Qwen-Small-GGUF}
  - key: community/qwen-small-mlx
    sources: [{type: huggingface, user: community, repo: Qwen-Small-MLX}]
metadataOverrides:
  domain: llm
  architectures: [qwen]
  compatibilityTypes: [gguf, safetensors]
  paramsStrings: [4B]
  contextLengths: [512]
  vision: true
  reasoning: true
  trainedForToolUse: mixed
config:
  load:
    fields:
      - {key: llm.load.contextLength, value: 1024}
  operation:
    fields:
      - {key: llm.prediction.temperature, value: 0.25}
      - {key: llm.prediction.topKSampling, value: 7}
      - nonsense
customFields: [{key: enableThinking, type: boolean}]
"""


def files(folder: Path) -> None:
    data = model(general__file_type=Q8_0, llama__context_length=4096)
    put(folder, "community/Qwen-Small-GGUF/q-Q8_0.gguf", data)
    data = model(general__file_type=Q4_K_M, llama__context_length=4096)
    put(folder, "community/Qwen-Small-GGUF/q-Q4_K_M.gguf", data)
    put(folder, "other/Plain-GGUF/plain.gguf", model())


def test_a_virtual_model_stands_for_its_files(tmp_path: Path) -> None:
    files(tmp_path)
    put(tmp_path, "hub/qwen/qwen-small/model.yaml", QWEN.encode())
    library = Library([tmp_path], bundled=False)
    listed = {m.key: m for m in library.scan()}
    assert list(listed) == ["qwen/qwen-small", "plain"]
    found = listed["qwen/qwen-small"]
    variants = ("qwen/qwen-small@q4_k_m", "qwen/qwen-small@q8_0")
    assert (found.variants, found.selected_variant) == (variants, variants[0])
    assert (found.publisher, found.display_name, found.params_string) == (
        "qwen",
        "qwen small",
        "4B",
    )
    assert (found.path, found.max_context_length) == ("qwen/qwen-small", 4096)
    # No file has eyes, so none is said to have; what the file cannot tell is taken from there.
    assert (found.vision, found.reasoning) == (False, True)
    assert found.load_defaults == {"llm.load.contextLength": 1024}
    assert found.prediction_defaults["llm.prediction.topKSampling"] == 7
    # All names work: the virtual one, a variant's, the file's own.
    asked = ["qwen/qwen-small", "Qwen/Qwen-Small@Q8_0", "community/qwen-small-gguf/q-q8_0.gguf"]
    names = [m.file.name for m in map(library.find, asked) if m]
    assert names == ["q-Q4_K_M.gguf", "q-Q8_0.gguf", "q-Q8_0.gguf"]
    assert [m.key for m in library.variants("qwen/qwen-small")] == list(variants)


def test_a_virtual_model_without_files_is_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "hub/model.yaml", QWEN.encode())
    put(tmp_path, "a/M/m.gguf", model())
    assert [m.key for m in Library([tmp_path], bundled=False).scan()] == ["m"]


def test_virtual_models_stand_on_others(tmp_path: Path) -> None:
    files(tmp_path / "models")
    put(tmp_path, "hub/one/model.yaml", QWEN.encode())
    put(
        tmp_path,
        "hub/two/model.yaml",
        b"model: me/mine\nbase: qwen/qwen-small\nconfig: {operation: {fields: "
        b"[{key: llm.prediction.temperature, value: 0.9}]}}",
    )
    # Two that stand on each other end nowhere.
    put(tmp_path, "hub/three/model.yaml", b"model: a/a\nbase: b/b")
    put(tmp_path, "hub/four/model.yaml", b"model: b/b\nbase: a/a")
    library = Library(
        [tmp_path / "models"], bundled=False, virtual_folders=[tmp_path / "hub", tmp_path / "no"]
    )
    keys = [m.key for m in library.scan()]
    assert keys == ["me/mine", "qwen/qwen-small", "plain"]
    mine = library.find("me/mine")
    assert mine is not None
    assert mine.prediction_defaults == {
        "llm.prediction.temperature": 0.9,
        "llm.prediction.topKSampling": 7,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "model: no-slash\nbase: x",
        "model: a/b",
        "model: a/b\nbase: 3.5",
        "model: a/b\nbase: [{sources: [7, {user: 1, repo: 2}]}]",
        "model: a/b\nbase: a/m\nmetadataOverrides: 7\nconfig: [1]",
        "{ no yaml",
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_odd_files_harm_nobody(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "a/M/m.gguf", model())
    file = put(tmp_path, "hub/model.yaml", text.encode())
    with caplog.at_level(logging.WARNING):
        keys = [m.key for m in Library([tmp_path], bundled=False).scan()]
    assert keys in (["m"], ["a/b"])
    assert keys == ["m"] or "a/m" in text
    assert not caplog.text or str(file) in caplog.text


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    put(tmp_path, "a/M/m.gguf", model())
    library = Library([tmp_path], bundled=False)
    put(tmp_path, "model.yaml", b"model: x/one\nbase: a/m")
    assert [m.key for m in library.scan()] == ["x/one"]
    put(tmp_path, "model.yaml", b"model: x/other\nbase: a/m")
    assert [m.key for m in library.scan()] == ["x/other"]


def test_quantizations_are_variants_of_each_other(tmp_path: Path) -> None:
    files(tmp_path)
    library = Library([tmp_path], bundled=False)
    keys = ["qwen-small@q4_k_m", "qwen-small@q8_0"]
    for name in ("qwen-small", *keys):
        assert [m.key for m in library.variants(name)] == keys
    listed = {m.key: (m.variants, m.selected_variant) for m in library.scan()}
    assert listed[keys[1]] == (tuple(keys), keys[1])
    assert listed["plain"] == ((), None)
    assert [m.key for m in library.variants("plain")] == ["plain"]
    assert library.variants("nobody") == []
    assert library.ambiguous("Qwen-Small") == keys
    assert [library.ambiguous(name) for name in (keys[0], "plain", "nobody")] == [[], [], []]


def test_settings_of_a_virtual_model_hold_where_the_client_says_nothing(tmp_path: Path) -> None:
    files(tmp_path)
    put(tmp_path, "hub/model.yaml", QWEN.encode())
    engine = FakeEngine()
    library: Any = Library([tmp_path], bundled=False)

    async def test() -> None:
        async with fake_server(engine, library) as server:
            async with client(server, "system") as system:
                listed = await system.call("listDownloadedModels")
                assert listed[0]["variants"] == ["qwen/qwen-small@q4_k_m", "qwen/qwen-small@q8_0"]
                assert listed[0]["selectedVariant"] == "qwen/qwen-small@q4_k_m"
                variants = await system.call(
                    "listDownloadedModelVariants", modelKey="qwen/qwen-small"
                )
                assert [v["quantization"]["name"] for v in variants] == ["Q4_K_M", "Q8_0"]
            async with client(server, "llm") as one:
                packets = await one.collect(
                    "loadModel", modelKey="community", loadConfigStack=stack()
                )
                assert packets[0]["ambiguous"] == [
                    "qwen-small@q4_k_m",
                    "qwen-small@q8_0",
                ]
                info = await load(one, "qwen/qwen-small@q8_0")
                assert engine.loads[-1].path.name == "q-Q8_0.gguf"
                assert engine.loads[-1].context_length == info["contextLength"] == 1024
                name = "qwen/qwen-small@q8_0"
                base = await one.call("getBasePredictionConfig", specifier=query(name))
                settings = {f["key"]: f["value"] for f in base["fields"]}
                assert settings["llm.prediction.temperature"] == 0.25

    run(test)
