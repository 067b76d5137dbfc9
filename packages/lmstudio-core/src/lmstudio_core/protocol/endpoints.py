"""All endpoints of LM Studio's protocol, by namespace; ``docs/endpoints.md`` says how each is used."""

from __future__ import annotations

from typing import Final, Literal

from .operations import Endpoint

__all__ = ["ENDPOINTS"]

_MODEL_CALLS: Final = (
    "unloadModel",
    "listLoaded",
    "getModelInfo",
    "getLoadConfig",
    "getBasePredictionConfig",
    "getInstanceProcessingState",
    "estimateModelUsage",
    "tokenize",
    "countTokens",
)
_MODEL_CHANNELS: Final = ("loadModel", "getOrLoad")

_CALLS: Final[dict[str, tuple[str, ...]]] = {
    "llm": (*_MODEL_CALLS, "applyPromptTemplate", "preloadDraftModel"),
    "embedding": (*_MODEL_CALLS, "embedString"),
    "system": (
        "listDownloadedModels",
        "listDownloadedModelVariants",
        "notify",
        "version",
        "setExperimentFlag",
        "getExperimentFlags",
        "startHttpServer",
        "stopHttpServer",
        "info",
        "requestShutdown",
    ),
    "files": ("getLocalFileAbsolutePath", "uploadFileBase64", "getDocumentParsingLibrary"),
    "repository": (
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
    ),
    "plugins": (
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
    ),
    "runtime": (
        "listEngines",
        "getEngineSelections",
        "selectEngine",
        "removeEngine",
        "surveyHardware",
        "searchRuntimeExtensions",
    ),
    "diagnostics": (),
}
_CHANNELS: Final[dict[str, tuple[str, ...]]] = {
    "llm": (*_MODEL_CHANNELS, "predict", "completeRawText"),
    "embedding": _MODEL_CHANNELS,
    "system": ("alive",),
    "files": ("retrieve", "parseDocument"),
    "repository": (
        "downloadModel",
        "downloadArtifact",
        "pushArtifact",
        "ensureAuthenticated",
        "createDownloadPlan",
    ),
    "plugins": (
        "startToolUseSession",
        "generateWithGenerator",
        "registerDevelopmentPlugin",
        "setPromptPreprocessor",
        "setPredictionLoopHandler",
        "setToolsProvider",
        "setGenerator",
    ),
    "runtime": ("downloadRuntimeExtension",),
    "diagnostics": ("streamLogs",),
}
_SUPERJSON: Final = "runtime.getEngineSelections"


def _endpoint(namespace: str, name: str, kind: Literal["rpc", "channel"]) -> Endpoint:
    wrapped = f"{namespace}.{name}" == _SUPERJSON
    return Endpoint(namespace, name, kind, "superjson" if wrapped else "raw")


ENDPOINTS: Final[tuple[Endpoint, ...]] = tuple(
    endpoint
    for namespace in _CALLS
    for endpoint in (
        *(_endpoint(namespace, name, "rpc") for name in _CALLS[namespace]),
        *(_endpoint(namespace, name, "channel") for name in _CHANNELS[namespace]),
    )
)
"""Every endpoint there is; LM Studio's protocol of 2026 has 93."""
