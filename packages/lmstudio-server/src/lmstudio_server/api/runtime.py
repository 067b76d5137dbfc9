"""The ``runtime`` namespace: every endpoint says that it is not offered."""

from __future__ import annotations

from .endpoint import Namespace

__all__ = ["namespace"]

namespace = Namespace("runtime")
namespace.decline(
    "rpc",
    "listEngines",
    "getEngineSelections",
    "selectEngine",
    "removeEngine",
    "surveyHardware",
    "searchRuntimeExtensions",
)
namespace.decline("channel", "downloadRuntimeExtension")
