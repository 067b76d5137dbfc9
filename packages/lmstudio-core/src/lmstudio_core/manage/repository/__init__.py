"""``client.repository``: models and other artifacts to download, and the account for it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from ...plugins.capability import Capability

if TYPE_CHECKING:
    from .aio import AsyncRepositoryNamespace
    from .available import (
        AsyncAvailableModel,
        AsyncModelDownloadOption,
        AvailableModel,
        ModelDownloadOption,
    )
    from .data import (
        AuthenticationRequest,
        AuthenticationStatus,
        DownloadFinalizedCallback,
        DownloadProgressCallback,
        DownloadProgressUpdate,
        HubModel,
        LocalArtifactFileList,
        ModelDownloadOptionInfo,
        ModelSearchResult,
        StaffPick,
    )
    from .link import AsyncLmLink, LmLink, LmLinkStatus
    from .planner import AsyncDownloadPlanner, DownloadPlanner
    from .plans import DownloadPlan, DownloadPlanModel, DownloadPlanNode, DownloadPlanOption
    from .sync import RepositoryNamespace

CAPABILITY: Final[Capability[RepositoryNamespace, AsyncRepositoryNamespace]] = Capability(
    name="repository",
    sync_namespace=f"{__name__}.sync:RepositoryNamespace",
    async_namespace=f"{__name__}.aio:AsyncRepositoryNamespace",
)

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "aio": ("AsyncRepositoryNamespace",),
    "available": (
        "AsyncAvailableModel",
        "AsyncModelDownloadOption",
        "AvailableModel",
        "ModelDownloadOption",
    ),
    "data": (
        "AuthenticationRequest",
        "AuthenticationStatus",
        "DownloadFinalizedCallback",
        "DownloadProgressCallback",
        "DownloadProgressUpdate",
        "HubModel",
        "LocalArtifactFileList",
        "ModelDownloadOptionInfo",
        "ModelSearchResult",
        "StaffPick",
    ),
    "link": ("AsyncLmLink", "LmLink", "LmLinkStatus"),
    "planner": ("AsyncDownloadPlanner", "DownloadPlanner"),
    "plans": ("DownloadPlan", "DownloadPlanModel", "DownloadPlanNode", "DownloadPlanOption"),
    "sync": ("RepositoryNamespace",),
}

__all__ = [
    "CAPABILITY",
    "AsyncAvailableModel",
    "AsyncDownloadPlanner",
    "AsyncLmLink",
    "AsyncModelDownloadOption",
    "AsyncRepositoryNamespace",
    "AuthenticationRequest",
    "AuthenticationStatus",
    "AvailableModel",
    "DownloadFinalizedCallback",
    "DownloadPlan",
    "DownloadPlanModel",
    "DownloadPlanNode",
    "DownloadPlanOption",
    "DownloadPlanner",
    "DownloadProgressCallback",
    "DownloadProgressUpdate",
    "HubModel",
    "LmLink",
    "LmLinkStatus",
    "LocalArtifactFileList",
    "ModelDownloadOption",
    "ModelDownloadOptionInfo",
    "ModelSearchResult",
    "RepositoryNamespace",
    "StaffPick",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake

    def __getattr__(name: str) -> Any:
        # The capability is looked at by every facade lookup: the classes wait until they are needed.
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(f".{home}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
