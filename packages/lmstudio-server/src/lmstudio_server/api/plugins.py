"""The ``plugins`` namespace: every endpoint says that it is not offered."""

from __future__ import annotations

from .endpoint import Namespace

__all__ = ["namespace"]

namespace = Namespace("plugins")
namespace.decline(
    "rpc",
    "reindexPlugins",
    "processingHandleUpdate",
    "processingHandleRequest",
    "processingPullHistory",
    "processingGetOrLoadTokenSource",
    "processingHasStatus",
    "processingNeedsNaming",
    "processingSuggestName",
    "processingSetSenderName",
    "setConfigSchematics",
    "setGlobalConfigSchematics",
    "pluginInitCompleted",
    "reportError",
)
namespace.decline(
    "channel",
    "startToolUseSession",
    "generateWithGenerator",
    "registerDevelopmentPlugin",
    "setPromptPreprocessor",
    "setPredictionLoopHandler",
    "setToolsProvider",
    "setGenerator",
)
