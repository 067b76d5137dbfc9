"""What the runtime endpoints give; sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from ...data import Number, ServerStruct

__all__ = [
    "CpuInfo",
    "CpuSurvey",
    "EngineCompatibility",
    "GpuInfo",
    "GpuSurvey",
    "HardwareSurvey",
    "RuntimeEngine",
    "RuntimeEngineSpecifier",
    "RuntimeExtension",
    "SurveyOutcome",
    "SurveyedCpu",
    "SurveyedEngine",
    "SurveyedGpu",
    "SurveyedHardware",
    "SurveyedMemory",
    "VisibleDevices",
]


class RuntimeEngineSpecifier(ServerStruct):
    """Which engine: its name, such as ``"llama.cpp-linux-x86_64-avx2"``, and its version."""

    name: str = ""
    version: str = ""


class CpuInfo(ServerStruct):
    """The processors that an engine is for."""

    architecture: str = ""
    instruction_set_extensions: tuple[str, ...] | None = None


class GpuInfo(ServerStruct):
    """The graphics cards that an engine is for."""

    make: str | None = None
    framework: str | None = None


class RuntimeEngine(RuntimeEngineSpecifier):
    """An installed engine. ``engine`` is its kind, such as ``"llama.cpp"``."""

    engine: str = ""
    platform: str = ""
    cpu: CpuInfo = CpuInfo()
    gpu: GpuInfo | None = None
    supported_model_format_names: tuple[str, ...] = ()


class RuntimeExtension(RuntimeEngineSpecifier):
    """An engine or framework that can be downloaded.

    ``type`` is ``"engine"`` or ``"framework"``; ``local_versions`` are those that are installed.
    """

    type: str = ""
    package: str = ""
    platform: str = ""
    cpu: CpuInfo = CpuInfo()
    gpu: GpuInfo | None = None
    supported_model_format_names: tuple[str, ...] = ()
    local_versions: tuple[str, ...] = ()


# -- the survey of the hardware ------------------------------------------------------------------


class SurveyOutcome(ServerStruct):
    """How a part of the survey went: ``code`` is ``"success"``, ``"noDevicesFound"`` and the like."""

    code: str = "unset"
    message: str = ""


class SurveyedCpu(ServerStruct):
    """A processor."""

    name: str | None = None
    architecture: str = "unknown"
    supported_instruction_set_extensions: tuple[str, ...] = ()


class SurveyedGpu(ServerStruct):
    """A graphics card. ``integration_type`` is ``"integrated"``, ``"discrete"`` or ``"unknown"``."""

    name: str = ""
    device_id: int = 0
    total_memory_capacity_bytes: Number = 0
    dedicated_memory_capacity_bytes: Number = 0
    integration_type: str = "unknown"
    detection_platform: str = "unknown"
    detection_platform_version: str = ""
    other_info: Mapping[str, Any] = Field(default_factory=dict[str, Any])


class CpuSurvey(ServerStruct):
    """What the survey found of the processor."""

    result: SurveyOutcome = SurveyOutcome()
    cpu_info: SurveyedCpu | None = None


class GpuSurvey(ServerStruct):
    """What the survey found of graphics cards."""

    result: SurveyOutcome = SurveyOutcome()
    gpu_info: tuple[SurveyedGpu, ...] = ()


class SurveyedHardware(ServerStruct):
    """The machine as an engine sees it."""

    cpu_survey_result: CpuSurvey = CpuSurvey()
    gpu_survey_result: GpuSurvey = GpuSurvey()


class SurveyedMemory(ServerStruct):
    """The machine's memory as an engine sees it, in bytes."""

    ram_capacity: Number = 0
    vram_capacity: Number = 0
    total_memory: Number = 0


class EngineCompatibility(ServerStruct):
    """Whether an engine can run here: ``status`` is ``"compatible"`` or names what is missing."""

    status: str = "unknown"
    message: str | None = None


class VisibleDevices(ServerStruct):
    """The graphics cards that an engine may use, and whether that changes their order."""

    visible_devices: tuple[int, ...] = ()
    changes_order: bool = False


class SurveyedEngine(RuntimeEngineSpecifier):
    """An engine, whether it can run here, and the machine as it sees it."""

    engine: str = ""
    platform: str = ""
    compatibility: EngineCompatibility = EngineCompatibility()
    supported_model_format_names: tuple[str, ...] = ()
    hardware_survey: SurveyedHardware = SurveyedHardware()
    memory_info: SurveyedMemory = SurveyedMemory()
    visible_devices_config: VisibleDevices | None = None


class HardwareSurvey(ServerStruct):
    """``status`` is ``"ok"``, or ``"noCompatibleBackends"`` if no engine can run here."""

    status: str = ""
    engines: tuple[SurveyedEngine, ...] = ()
