"""The ``repository`` namespace: every endpoint says that it is not offered."""

from __future__ import annotations

from .endpoint import Namespace

__all__ = ["namespace"]

namespace = Namespace("repository")
namespace.decline(
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
namespace.decline(
    "channel",
    "downloadModel",
    "downloadArtifact",
    "pushArtifact",
    "ensureAuthenticated",
    "createDownloadPlan",
)
