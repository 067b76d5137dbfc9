"""Namespaces of the protocol that this server does not offer: every endpoint says so.

A known endpoint that stayed silent would leave its caller waiting forever.
"""

from __future__ import annotations

from .endpoint import Namespace

__all__ = ["diagnostics", "plugins", "repository", "runtime"]

diagnostics = Namespace("diagnostics")
diagnostics.decline("channel", "streamLogs")

runtime = Namespace("runtime")
runtime.decline(
    "rpc",
    "listEngines",
    "getEngineSelections",
    "selectEngine",
    "removeEngine",
    "surveyHardware",
    "searchRuntimeExtensions",
)
runtime.decline("channel", "downloadRuntimeExtension")

repository = Namespace("repository")
repository.decline(
    "rpc",
    "searchModels",
    "getModelDownloadOptions",
    "installPluginDependencies",
    "getLocalArtifactFiles",
    "getWritableArtifactOwners",
    "isAuthenticated",
    "getAuthenticationStatus",
    "deauthenticate",
    "loginAsComputeDevice",
    "loginWithPreAuthenticatedKeys",
    "installLocalPlugin",
    "getModelCatalog",
    "fuzzyFindStaffPicks",
    "lmLinkStatus",
    "lmLinkSetDisabled",
    "lmLinkUpdateDeviceName",
    "lmLinkSetPreferredDevice",
)
repository.decline(
    "channel",
    "downloadModel",
    "downloadArtifact",
    "pushArtifact",
    "ensureAuthenticated",
    "createDownloadPlan",
)

plugins = Namespace("plugins")
plugins.decline(
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
plugins.decline(
    "channel",
    "startToolUseSession",
    "generateWithGenerator",
    "registerDevelopmentPlugin",
    "setPromptPreprocessor",
    "setPredictionLoopHandler",
    "setToolsProvider",
    "setGenerator",
)
