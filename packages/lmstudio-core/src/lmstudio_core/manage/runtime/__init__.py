"""``client.runtime``: the engines that the server runs models with, and the machine it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...lazy import lazy_names
from ...plugins.capability import Capability

if TYPE_CHECKING:
    from .data import HardwareSurvey as HardwareSurvey
    from .data import RuntimeEngine as RuntimeEngine
    from .data import RuntimeEngineSpecifier as RuntimeEngineSpecifier
    from .data import RuntimeExtension as RuntimeExtension
    from .data import SurveyedEngine as SurveyedEngine
    from .facade import AsyncRuntimeNamespace as AsyncRuntimeNamespace
    from .facade import RuntimeNamespace as RuntimeNamespace

CAPABILITY: Final[Capability[RuntimeNamespace, AsyncRuntimeNamespace]] = Capability(
    name="runtime",
    sync_namespace=f"{__name__}.facade:RuntimeNamespace",
    async_namespace=f"{__name__}.facade:AsyncRuntimeNamespace",
)

__all__ = [
    "CAPABILITY",
    "AsyncRuntimeNamespace",
    "HardwareSurvey",
    "RuntimeEngine",
    "RuntimeEngineSpecifier",
    "RuntimeExtension",
    "RuntimeNamespace",
    "SurveyedEngine",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "AsyncRuntimeNamespace": f"{__name__}.facade:AsyncRuntimeNamespace",
            "HardwareSurvey": f"{__name__}.data:HardwareSurvey",
            "RuntimeEngine": f"{__name__}.data:RuntimeEngine",
            "RuntimeEngineSpecifier": f"{__name__}.data:RuntimeEngineSpecifier",
            "RuntimeExtension": f"{__name__}.data:RuntimeExtension",
            "RuntimeNamespace": f"{__name__}.facade:RuntimeNamespace",
            "SurveyedEngine": f"{__name__}.data:SurveyedEngine",
        },
    )
