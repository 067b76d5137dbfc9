"""The repository's calls, without I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final, cast

from ...errors import LMStudioValueError
from ...lenient import as_list, as_mapping
from ...protocol.operations import VOID, Call, Endpoint
from .data import (
    AuthenticationStatus,
    HubModel,
    LocalArtifactFileList,
    ModelDownloadOptionInfo,
    ModelSearchResult,
    StaffPick,
)

__all__ = [
    "artifact_name",
    "deauthenticate",
    "find_staff_picks",
    "get_authentication_status",
    "get_local_artifact_files",
    "get_model_catalog",
    "get_model_download_options",
    "get_writable_artifact_owners",
    "install_local_plugin",
    "install_plugin_dependencies",
    "is_authenticated",
    "login_as_compute_device",
    "login_with_pre_authenticated_keys",
    "search_models",
    "server_path",
    "text",
]

_SEARCH_LIMIT: Final = 25
_NAME: Final = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")


def _endpoint(name: str) -> Endpoint:
    return Endpoint("repository", name)


def _nothing(_: Any) -> None:
    return None


# -- arguments -----------------------------------------------------------------------------------


def text(what: str, value: object) -> str:
    """``value`` if it is a string with something in it.

    Raises:
        LMStudioValueError: It is not; the message does not show it, since it may be a secret.
    """
    if not isinstance(value, str) or not value:
        raise LMStudioValueError(f"{what} must be a string that is not empty.")
    return value


def artifact_name(what: str, value: object) -> str:
    """``value`` if it is a name as LM Studio's hub allows.

    Raises:
        LMStudioValueError: It is not.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise LMStudioValueError(
            f"{what} is made of lower-case letters, digits and '-', such as 'my-model', "
            f"not {value!r}."
        )
    return value


def server_path(what: str, value: object) -> str:
    """``value`` if it can be a path on the server's machine, whatever system runs there.

    Raises:
        LMStudioValueError: It is not absolute: the server would look for it in its own folder.
    """
    path = _fspath(what, value)
    if not (PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()):
        raise LMStudioValueError(
            f"{what} must be an absolute path on the server's machine, not {path!r}."
        )
    return path


def _fspath(what: str, value: Any) -> str:
    try:
        path = cast("object", os.fspath(value))
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise LMStudioValueError(f"{what} must be a path, not {type(value).__name__}.")
    return path


def _search(
    term: str | None, limit: int | None, types: Iterable[str] | None, most: int | None
) -> dict[str, Any]:
    opts: dict[str, Any] = {}
    if term is not None:
        if not isinstance(_object(term), str):
            raise LMStudioValueError(f"search_term must be a string, not {type(term).__name__}.")
        opts["searchTerm"] = term
    if limit is not None:
        whole = isinstance(_object(limit), int) and not isinstance(limit, bool)
        if not whole or limit < 1 or (most is not None and limit > most):
            span = "a positive whole number" if most is None else f"a whole number from 1 to {most}"
            raise LMStudioValueError(f"limit is {span}, not {limit!r}.")
        opts["limit"] = limit
    if types is not None:
        if isinstance(types, str):
            raise LMStudioValueError(f"compatibility_types is a list, such as [{types!r}].")
        opts["compatibilityTypes"] = list(types)
    return opts


def _object(value: object) -> object:
    """Callers without a type checker may have passed anything."""
    return value


# -- models --------------------------------------------------------------------------------------


def search_models(
    search_term: str | None, limit: int | None, compatibility_types: Iterable[str] | None
) -> Call[list[ModelSearchResult]]:
    """Models that fit a search term."""

    def decode(raw: Any) -> list[ModelSearchResult]:
        return [ModelSearchResult.from_dict(as_mapping(item)) for item in as_list(raw["results"])]

    opts = _search(search_term, limit, compatibility_types, _SEARCH_LIMIT)
    return Call(_endpoint("searchModels"), {"opts": opts}, decode)


def get_model_download_options(found: ModelSearchResult) -> Call[list[ModelDownloadOptionInfo]]:
    """The ways to download a model that a search found."""

    def decode(raw: Any) -> list[ModelDownloadOptionInfo]:
        return [
            ModelDownloadOptionInfo.from_dict(as_mapping(item)) for item in as_list(raw["results"])
        ]

    parameter = {"modelSearchResultIdentifier": found.identifier.to_dict()}
    return Call(_endpoint("getModelDownloadOptions"), parameter, decode)


def find_staff_picks(
    search_term: str | None, limit: int | None, compatibility_types: Iterable[str] | None
) -> Call[list[StaffPick]]:
    """Recommended models that are about what the term says."""

    def decode(raw: Any) -> list[StaffPick]:
        return [StaffPick.from_dict(as_mapping(item)) for item in as_list(raw["results"])]

    parameter = _search(search_term, limit, compatibility_types, None)
    return Call(_endpoint("fuzzyFindStaffPicks"), parameter, decode)


def get_model_catalog() -> Call[list[HubModel]]:
    """LM Studio's catalog."""

    def decode(raw: Any) -> list[HubModel]:
        return [HubModel.from_dict(as_mapping(item)) for item in as_list(raw["models"])]

    return Call(_endpoint("getModelCatalog"), VOID, decode)


# -- artifacts and plugins -----------------------------------------------------------------------


def get_local_artifact_files(path: str | os.PathLike[str]) -> Call[LocalArtifactFileList]:
    """The files of an artifact's folder that a push would send."""

    def decode(raw: Any) -> LocalArtifactFileList:
        return LocalArtifactFileList.from_dict(as_mapping(raw["fileList"]))

    parameter = {"path": server_path("path", path)}
    return Call(_endpoint("getLocalArtifactFiles"), parameter, decode)


def get_writable_artifact_owners() -> Call[list[str]]:
    """Under whose names the logged-in user may push."""

    def decode(raw: Any) -> list[str]:
        return [str(owner) for owner in as_list(raw["owners"])]

    return Call(_endpoint("getWritableArtifactOwners"), VOID, decode)


def install_local_plugin(plugin_path: str | os.PathLike[str]) -> Call[None]:
    """Install a plugin from a folder."""
    parameter = {"pluginPath": server_path("plugin_path", plugin_path)}
    return Call(_endpoint("installLocalPlugin"), parameter, _nothing)


def install_plugin_dependencies(plugin_folder: str | os.PathLike[str]) -> Call[None]:
    """Install what a plugin needs."""
    parameter = {"pluginFolder": server_path("plugin_folder", plugin_folder)}
    return Call(_endpoint("installPluginDependencies"), parameter, _nothing)


# -- account -------------------------------------------------------------------------------------


def is_authenticated() -> Call[bool]:
    """Whether somebody is logged in."""

    def decode(raw: Any) -> bool:
        return bool(raw["authenticated"])

    return Call(_endpoint("isAuthenticated"), VOID, decode)


def get_authentication_status() -> Call[AuthenticationStatus]:
    """Who is logged in."""

    def decode(raw: Any) -> AuthenticationStatus:
        return AuthenticationStatus.from_dict(as_mapping(raw["authenticationStatus"]))

    return Call(_endpoint("getAuthenticationStatus"), VOID, decode)


def deauthenticate() -> Call[None]:
    """Log out."""
    return Call(_endpoint("deauthenticate"), VOID, _nothing)


def login_as_compute_device(token: str) -> Call[AuthenticationStatus]:
    """Log the server in as a device that computes for its owner."""

    def decode(raw: Any) -> AuthenticationStatus:
        return AuthenticationStatus.from_dict(as_mapping(raw))

    return Call(_endpoint("loginAsComputeDevice"), {"token": text("token", token)}, decode)


def login_with_pre_authenticated_keys(key_id: str, public_key: str, private_key: str) -> Call[str]:
    """Log in with keys made elsewhere; the result is the user's name."""

    def decode(raw: Any) -> str:
        return str(raw["userName"])

    parameter: Mapping[str, str] = {
        "keyId": text("key_id", key_id),
        "publicKey": text("public_key", public_key),
        "privateKey": text("private_key", private_key),
    }
    return Call(_endpoint("loginWithPreAuthenticatedKeys"), parameter, decode)
