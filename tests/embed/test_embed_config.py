"""The load config of embedding models: spellings, errors, and the way to the wire and back."""

from __future__ import annotations

import pytest

from lmstudio_core.errors import LMStudioUnknownSettingWarning, LMStudioValueError
from lmstudio_core.models.gpu import GpuSetting
from lmstudio_embed import EmbeddingLoadModelConfig


def test_both_spellings_and_objects_mean_the_same() -> None:
    snake = EmbeddingLoadModelConfig.parse({"context_length": 512, "try_mmap": False})
    camel = EmbeddingLoadModelConfig.parse({"contextLength": 512, "tryMmap": False})
    assert snake == camel == EmbeddingLoadModelConfig(context_length=512, try_mmap=False)
    assert EmbeddingLoadModelConfig.parse(snake) is snake
    assert EmbeddingLoadModelConfig.parse(None).to_kv() == {}


@pytest.mark.parametrize(
    ("config", "values"),
    [
        ({"contextLength": 512}, {"embedding.load.contextLength": 512}),
        (
            {"ropeFrequencyBase": 1000},
            {"embedding.load.llama.ropeFrequencyBase": {"checked": True, "value": 1000}},
        ),
        (
            {"ropeFrequencyScale": False},
            {"embedding.load.llama.ropeFrequencyScale": {"checked": False, "value": 0}},
        ),
        ({"keepModelInMemory": False}, {"embedding.load.llama.keepModelInMemory": False}),
        ({"tryMmap": True}, {"embedding.load.llama.tryMmap": True}),
        ({"gpu": {"ratio": 0.5}}, {"embedding.load.llama.acceleration.offloadRatio": 0.5}),
        ({"gpu": {"ratio": "off"}}, {"embedding.load.llama.acceleration.offloadRatio": "off"}),
        ({"gpu": {}}, {}),
        (
            {"gpu": {"mainGpu": 0, "splitStrategy": "favorMainGpu"}},
            {
                "load.gpuSplitConfig": {
                    "strategy": "priorityOrder",
                    "disabledGpus": [],
                    "priority": [0],
                    "customRatio": [],
                }
            },
        ),
        (
            {"gpu": {"disabledGpus": [1]}},
            {
                "load.gpuSplitConfig": {
                    "strategy": "evenly",
                    "disabledGpus": [1],
                    "priority": [],
                    "customRatio": [],
                }
            },
        ),
    ],
)
def test_keys_and_values_on_the_wire(config: dict, values: dict) -> None:
    assert EmbeddingLoadModelConfig.parse(config).to_kv() == values


def test_a_config_comes_back_from_the_wire_as_it_was() -> None:
    config = EmbeddingLoadModelConfig(
        gpu=GpuSetting(ratio="max", main_gpu=1, split_strategy="favorMainGpu", disabled_gpus=[2]),
        context_length=256,
        rope_frequency_base=10000.0,
        rope_frequency_scale=False,
        keep_model_in_memory=True,
        try_mmap=False,
    )
    assert EmbeddingLoadModelConfig.from_kv(config.to_kv()) == config


def test_unknown_and_odd_values_from_the_wire_are_left_out() -> None:
    config = EmbeddingLoadModelConfig.from_kv(
        {
            "embedding.load.contextLength": "many",
            "embedding.load.llama.tryMmap": True,
            "embedding.load.from.the.future": 1,
            "load.gpuSplitConfig": {"strategy": "tensor", "priority": "none"},
        }
    )
    assert config == EmbeddingLoadModelConfig(try_mmap=True)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"contextLength": 0}, "context"),
        ({"contextLength": "long"}, "'long'"),
        ({"ropeFrequencyBase": True}, "ropeFrequencyBase"),
        ({"gpu": {"ratio": 1.5}}, "1.5"),
        ({"gpu": {"splitStrategy": "odd"}}, "odd"),
        ([], "dict"),
    ],
)
def test_mistakes_are_named(config: object, said: str) -> None:
    with pytest.raises(LMStudioValueError, match=said):
        EmbeddingLoadModelConfig.parse(config)


def test_a_key_that_is_unknown_is_left_out_with_a_warning() -> None:
    with pytest.warns(LMStudioUnknownSettingWarning, match="did you mean 'contextLength'"):
        made = EmbeddingLoadModelConfig.parse({"contextLenght": 512, "gpu": {"ratio": 1}})
    assert made == EmbeddingLoadModelConfig(gpu={"ratio": 1})
