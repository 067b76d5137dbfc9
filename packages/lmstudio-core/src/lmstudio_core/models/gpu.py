"""Where a model's layers go: the ``gpu`` part of load configs and its key-value form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from ..config import ConfigModel

__all__ = [
    "GPU_SPLIT_KEY",
    "GpuSetting",
    "GpuSettingDict",
    "OffloadRatio",
    "gpu_from_kv",
    "gpu_to_kv",
]

GPU_SPLIT_KEY: Final = "load.gpuSplitConfig"  # api

OffloadRatio = Annotated[float, Field(ge=0, le=1)] | Literal["max", "off"]
_GpuIndex = Annotated[int, Field(ge=0)]


class GpuSetting(ConfigModel):  # public, api
    """How a model is spread over the machine's GPUs; ``None`` leaves a choice to the server.

    Attributes:
        ratio: The share of the layers that goes to the GPUs, 0.0 to 1.0, ``"max"`` or ``"off"``.
        num_cpu_expert_layers_ratio: The share of the layers whose experts stay on the CPU (for
            mixture-of-experts models), 0.0 to 1.0, ``"max"`` or ``"off"``.
        main_gpu: The index of the GPU that is filled first.
        split_strategy: ``"evenly"`` over all GPUs, or ``"favorMainGpu"``.
        disabled_gpus: The indices of the GPUs that are not to be used.

    Example:
        >>> gpu = GpuSetting(ratio=0.5, main_gpu=1, split_strategy="favorMainGpu")
        >>> gpu.to_dict()
        {'ratio': 0.5, 'mainGpu': 1, 'splitStrategy': 'favorMainGpu'}
    """

    ratio: OffloadRatio | None = None
    num_cpu_expert_layers_ratio: OffloadRatio | None = None
    main_gpu: _GpuIndex | None = None
    split_strategy: Literal["evenly", "favorMainGpu"] | None = None
    disabled_gpus: Sequence[_GpuIndex] | None = None


class GpuSettingDict(TypedDict, total=False):  # public, api
    """``GpuSetting`` as a dict, with keys in either spelling.

    Example:
        >>> setting: GpuSettingDict = {"ratio": 0.5, "mainGpu": 1}
        >>> GpuSetting.from_dict(setting)
        GpuSetting(ratio=0.5, main_gpu=1)
    """

    ratio: float | Literal["max", "off"] | None
    num_cpu_expert_layers_ratio: float | Literal["max", "off"] | None
    numCpuExpertLayersRatio: float | Literal["max", "off"] | None
    main_gpu: int | None
    mainGpu: int | None
    split_strategy: Literal["evenly", "favorMainGpu"] | None
    splitStrategy: Literal["evenly", "favorMainGpu"] | None
    disabled_gpus: Sequence[int] | None
    disabledGpus: Sequence[int] | None


def gpu_to_kv(
    gpu: GpuSetting | None, *, ratio_key: str, expert_ratio_key: str | None = None
) -> dict[str, Any]:  # api
    """The keys and wire values of a ``gpu`` setting.

    Args:
        gpu: The setting; ``None`` gives no keys.
        ratio_key: The key under which this kind of model takes ``ratio``.
        expert_ratio_key: The same for ``num_cpu_expert_layers_ratio``; ``None`` if the kind has
            none.
    """
    if gpu is None:
        return {}
    values: dict[str, Any] = {}
    if gpu.ratio is not None:
        values[ratio_key] = gpu.ratio
    if gpu.num_cpu_expert_layers_ratio is not None and expert_ratio_key is not None:
        values[expert_ratio_key] = gpu.num_cpu_expert_layers_ratio
    # Sent only when asked for: an even split over all GPUs is the server's default, and sending
    # it would override what the user chose in the application.
    if gpu.disabled_gpus or gpu.main_gpu is not None or gpu.split_strategy is not None:
        values[GPU_SPLIT_KEY] = {
            "strategy": "priorityOrder" if gpu.split_strategy == "favorMainGpu" else "evenly",
            "disabledGpus": list(gpu.disabled_gpus or ()),
            "priority": [] if gpu.main_gpu is None else [gpu.main_gpu],
            "customRatio": [],
        }
    return values


def gpu_from_kv(
    values: Mapping[str, Any], *, ratio_key: str, expert_ratio_key: str | None = None
) -> dict[str, Any] | None:  # api
    """The fields of the ``gpu`` setting that a server's values describe, or ``None``.

    A split that ``GpuSetting`` cannot say (such as one by custom ratios) gives no strategy.
    """
    found: dict[str, Any] = {
        "ratio": values.get(ratio_key),
        "num_cpu_expert_layers_ratio": values.get(expert_ratio_key) if expert_ratio_key else None,
    }
    if isinstance(values.get(GPU_SPLIT_KEY), Mapping):
        split = cast("Mapping[str, Any]", values[GPU_SPLIT_KEY])
        strategies = {"evenly": "evenly", "priorityOrder": "favorMainGpu"}
        found["disabled_gpus"] = split.get("disabledGpus") or None
        priority = split.get("priority") or [None]
        found["main_gpu"] = priority[0] if isinstance(priority, list) else None
        strategy = strategies.get(str(split.get("strategy")))
        # An even split over all GPUs is what servers do by default. To read it as somebody's
        # choice would turn auto-fit off when a model is loaded again with the config.
        chosen = strategy != "evenly" or found["disabled_gpus"] or found["main_gpu"] is not None
        found["split_strategy"] = strategy if chosen else None
    told = {name: value for name, value in found.items() if value is not None}
    return (GpuSetting.lenient(told).model_dump(exclude_none=True) or None) if told else None
