"""What a repository's files make up, what is recommended, what fits; without a network."""

from __future__ import annotations

import pytest

from lmstudio_server.engines.llamacpp.devices import Device
from lmstudio_server.hardware import Hardware
from lmstudio_server.hub.offers import Offer, RemoteFile, Repository, offers_of, recommended

GB = 1_000_000_000


def offers(**sizes: int) -> list[Offer]:
    """The offers of a repository with files of these sizes; ``__`` stands for ``/``."""
    files = (RemoteFile(n.replace("__", "/"), size, sha256="ab" * 32) for n, size in sizes.items())
    return offers_of(Repository("acme/Big-GGUF", "main", tuple(files)))


def from_names(*names: str) -> list[Offer]:
    return offers(**dict.fromkeys(names, 10))


class TestOffers:
    def test_each_quantization_is_one_the_smallest_first(self) -> None:
        found = offers(**{"Big-Q8_0.gguf": 8, "Big-Q4_K_M.gguf": 4, "README.md": 1})
        assert [(o.name, o.quantization, o.size_bytes) for o in found] == [
            ("Big-Q4_K_M", "Q4_K_M", 4),
            ("Big-Q8_0", "Q8_0", 8),
        ]
        assert found[0].identifier == found[0].model_path == "acme/Big-GGUF/Big-Q4_K_M.gguf"

    def test_a_split_model_is_one(self) -> None:
        (found,) = from_names("Big-F16-00002-of-00002.gguf", "Big-F16-00001-of-00002.gguf")
        assert found.name == "Big-F16"
        assert found.quantization == "F16"
        assert found.size_bytes == 20
        assert found.model_path == "acme/Big-GGUF/Big-F16-00001-of-00002.gguf"

    @pytest.mark.parametrize(
        "names",
        [
            ["Big-F16-00001-of-00002.gguf"],
            ["Big-F16-00002-of-00002.gguf"],
            ["Big-F16-00001-of-00002.gguf", "Big-F16-00002-of-00003.gguf"],
            [".hidden.gguf"],
            ['bad"name.gguf'],
            ["back\\slash.gguf"],
            ["Big.imatrix.gguf"],
            ["mmproj-Big-F16.gguf"],
            ["model.safetensors"],
        ],
    )
    def test_what_is_no_whole_model_is_left_out(self, names: list[str]) -> None:
        assert from_names(*names) == []

    def test_an_empty_file_is_left_out(self) -> None:
        assert offers(**{"Big-Q8_0.gguf": 0}) == []

    def test_a_projector_comes_with_every_model(self) -> None:
        found = offers(
            **{
                "Big-Q8_0.gguf": 8,
                "Big-Q4_0.gguf": 4,
                "mmproj-Big-F32.gguf": 3,
                "mmproj-Big-F16.gguf": 2,
                "mmproj-Big-BF16.gguf": 2,
            }
        )
        assert [offer.size_bytes for offer in found] == [6, 10]
        for offer in found:
            assert offer.projector is not None
            assert offer.projector.name == "mmproj-Big-F16.gguf"
            assert offer.all_files[0] is offer.projector

    def test_folders_of_a_repository_become_one(self) -> None:
        (found,) = from_names("Q4_K_M__Big-Q4_K_M.gguf")
        assert found.identifier == "acme/Big-GGUF/Q4_K_M/Big-Q4_K_M.gguf"
        assert found.model_path == "acme/Big-GGUF/Big-Q4_K_M.gguf"

    def test_files_of_one_name_in_two_folders_are_told_apart(self) -> None:
        found = from_names("Q4_0__model.gguf", "Q8_0__model.gguf")
        assert [(o.name, o.quantization, o.model_path) for o in found] == [
            ("Q4_0-model", "Q4_0", "acme/Big-GGUF/Q4_0-model.gguf"),
            ("Q8_0-model", "Q8_0", "acme/Big-GGUF/Q8_0-model.gguf"),
        ]

    def test_parts_in_two_folders_keep_their_numbers(self) -> None:
        names = [f"{q}__model-0000{n}-of-00002.gguf" for q in ("Q4_0", "Q8_0") for n in (1, 2)]
        found = from_names(*names)
        assert [found[0].place(file) for file in found[0].files] == [
            "acme/Big-GGUF/Q4_0-model-00001-of-00002.gguf",
            "acme/Big-GGUF/Q4_0-model-00002-of-00002.gguf",
        ]


class TestRecommended:
    def test_four_bits_before_eight(self) -> None:
        found = from_names("B-Q8_0.gguf", "B-Q4_K_M.gguf", "B-Q2_K.gguf", "B-F16.gguf")
        best = recommended(found, found)
        assert best is not None
        assert best.quantization == "Q4_K_M"

    def test_only_what_fits(self) -> None:
        found = from_names("B-Q8_0.gguf", "B-Q4_K_M.gguf")
        best = recommended(found, [o for o in found if o.quantization == "Q8_0"])
        assert best is not None
        assert best.quantization == "Q8_0"
        assert recommended(found, []) is None

    def test_an_unknown_quantization_is_better_than_nothing(self) -> None:
        found = from_names("whatever.gguf")
        assert recommended(found, found) == found[0]


def cpu(memory: int) -> Device:
    return Device("CPU", "A processor", "cpu", memory, ("AVX",))


def gpu(memory: int, kind: str = "gpu") -> Device:
    return Device("CUDA0", "A card", "gpu" if kind == "gpu" else "integrated", memory)


@pytest.mark.parametrize(
    ("hardware", "size", "fit"),
    [
        (Hardware((cpu(16 * GB),)), 10 * GB, "fitWithoutGPU"),
        (Hardware((cpu(16 * GB),)), 15 * GB, "willNotFit"),
        (Hardware((cpu(16 * GB),), memory_limit=8 * GB), 10 * GB, "willNotFit"),
        (Hardware((cpu(16 * GB), gpu(24 * GB))), 20 * GB, "fullGPUOffload"),
        (Hardware((cpu(16 * GB), gpu(8 * GB))), 20 * GB, "partialGPUOffload"),
        (Hardware((cpu(16 * GB), gpu(8 * GB))), 30 * GB, "willNotFit"),
        (Hardware((cpu(16 * GB), gpu(16 * GB, "integrated"))), 20 * GB, "willNotFit"),
        (Hardware(problem="no llama.cpp"), 1000 * GB, "fitWithoutGPU"),
    ],
)
def test_what_fits(hardware: Hardware, size: int, fit: str) -> None:
    assert hardware.fit(size) == fit
