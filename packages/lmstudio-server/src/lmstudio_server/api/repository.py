"""The ``repository`` namespace: models of Hugging Face. LM Studio's own hub is not offered."""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path
from typing import Any, Final

from lmstudio_server.errors import WireError
from lmstudio_server.hub.errors import HubError
from lmstudio_server.hub.offers import Offer
from lmstudio_server.hub.service import Offers

from . import hub_parameters as p
from .download_plan import DownloadPlan
from .endpoint import ABSENT, Call, Channel, Namespace

__all__ = ["namespace"]

namespace: Final = Namespace("repository")

_DEFAULT_LIMIT: Final = 10
_FILES_LIMIT: Final = 10_000
_NO_LMSTUDIO_HUB: Final = (
    "lmstudio-server downloads models of Hugging Face; accounts, catalog and artifacts of LM "
    "Studio's own hub are LM Studio's."
)


@namespace.rpc("searchModels", p.SearchModels)
async def search_models(call: Call, parameter: p.SearchModels) -> Any:
    """Repositories with GGUF files, the most downloaded first; one of exactly that name leads."""
    opts = parameter.opts
    if opts.compatibility_types is not None and "gguf" not in opts.compatibility_types:
        return {"results": []}
    term = (opts.search_term or "").strip()
    found = await call.services.hub.search(term, opts.limit or _DEFAULT_LIMIT)
    return {
        "results": [
            {
                "name": name,
                "identifier": {"type": "hf", "identifier": name},
                "exact": name.lower() == term.lower(),
                "staffPick": False,
            }
            for name in found
        ]
    }


@namespace.rpc("getModelDownloadOptions", p.ModelDownloadOptions)
async def get_model_download_options(call: Call, parameter: p.ModelDownloadOptions) -> Any:
    """The GGUF models of a repository, the smallest first."""
    wanted = parameter.model_search_result_identifier
    if wanted.type != "hf":
        raise WireError(
            f'LM Studio\'s catalog, and with it "{wanted.identifier}", is not offered here.',
            cause=_NO_LMSTUDIO_HUB,
            suggestion="Search for the model's repository on Hugging Face.",
        )
    found = await call.services.hub.offers(wanted.identifier)
    return {"results": [_option(found, offer) for offer in found.offers]}


def _option(found: Offers, offer: Offer) -> dict[str, Any]:
    option: dict[str, Any] = {
        "name": offer.name,
        "sizeBytes": offer.size_bytes,
        "fitEstimation": found.hardware.fit(offer.size_bytes),
        "recommended": offer == found.recommended,
        "downloadIdentifier": offer.identifier,
        "indexedModelIdentifier": offer.model_path,
        "compatibilityType": "gguf",
    }
    if offer.quantization:
        option["quantization"] = offer.quantization
    return option


@namespace.channel("downloadModel", p.DownloadModel)
async def download_model(channel: Channel, parameter: p.DownloadModel) -> None:
    """Download, or go on with, what ``getModelDownloadOptions`` has named."""
    identifier = parameter.download_identifier
    owner, _, rest = identifier.partition("/")
    name, _, path = rest.partition("/")
    if not path:
        raise HubError(
            f'There is no download "{identifier}".',
            cause="A download is named by a repository and a file in it.",
            suggestion="Use a downloadIdentifier of getModelDownloadOptions.",
        )
    service = channel.services.hub
    found = await service.offers(f"{owner}/{name}")
    key = await service.download(
        found.find(identifier),
        found.repository.commit,
        send=channel.send,
        cancelled=channel.cancelled,
    )
    if key is not None:
        await channel.send({"type": "success", "defaultIdentifier": key})


@namespace.channel("createDownloadPlan", p.CreateDownloadPlan, DownloadPlan.MESSAGES)
async def create_download_plan(channel: Channel, parameter: p.CreateDownloadPlan) -> None:
    """Plan the download of a model; what the client answers may change it, start it or end it."""
    if isinstance(parameter.target, p.ArtifactTarget):
        raise _not_here(f'The artifact "{parameter.target.owner}/{parameter.target.name}"')
    source = parameter.target.source
    await DownloadPlan(channel, f"{source.user}/{source.repo}", parameter.opts).run()


@namespace.rpc("getLocalArtifactFiles", p.LocalPath)
async def get_local_artifact_files(call: Call, parameter: p.LocalPath) -> Any:
    """The files of a folder, without hidden ones. No ignore file is read."""
    if not call.trusted:
        raise WireError(
            "This client may not list files.",
            cause="It comes from another machine and has shown no API token.",
            suggestion="Start the server with --api-token and use that token.",
        )
    return {"fileList": await asyncio.to_thread(_files, Path(parameter.path))}


def _files(folder: Path) -> dict[str, Any]:
    if not folder.is_absolute() or not folder.is_dir():
        raise WireError(
            f"{folder} is no folder on the server's machine.",
            suggestion="Pass the absolute path of an artifact's folder there.",
        )
    files: list[dict[str, Any]] = []
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(current, name)
            if file.is_file():
                relative = file.relative_to(folder).as_posix()
                files.append({"relativePath": relative, "sizeBytes": file.stat().st_size})
        if len(files) > _FILES_LIMIT:
            raise WireError(
                f"{folder} has more than {_FILES_LIMIT} files.",
                suggestion="Pass the folder of one artifact.",
            )
    return {"files": files, "usedIgnoreFile": None}


@namespace.rpc("getWritableArtifactOwners")
async def get_writable_artifact_owners(_call: Call, _parameter: Any) -> Any:
    """Nobody is signed in, so nobody may push."""
    return {"owners": []}


@namespace.rpc("isAuthenticated")
async def is_authenticated(_call: Call, _parameter: Any) -> Any:
    """Nobody can sign in to LM Studio's hub here."""
    return {"authenticated": False}


@namespace.rpc("getAuthenticationStatus")
async def get_authentication_status(_call: Call, _parameter: Any) -> Any:
    """Nobody can sign in to LM Studio's hub here."""
    return {"authenticationStatus": {"type": "none"}}


@namespace.rpc("deauthenticate")
async def deauthenticate(_call: Call, _parameter: Any) -> Any:
    """Afterwards nobody is signed in, as before."""
    return ABSENT


@namespace.rpc("lmLinkStatus")
async def lm_link_status(_call: Call, _parameter: Any) -> Any:
    """No devices are linked to this one."""
    return {
        "status": "offline",
        "issues": ["notLoggedIn"],
        "peers": [],
        "deviceIdentifier": None,
        "deviceName": platform.node(),
    }


def _not_here(what: str) -> WireError:
    return WireError(
        f"{what} is not offered by this server.",
        cause=_NO_LMSTUDIO_HUB,
        suggestion="Connect to LM Studio for this, for example with Client(api_host=...).",
    )


namespace.decline(
    "rpc",
    "installPluginDependencies",
    "installLocalPlugin",
    "loginAsComputeDevice",
    "loginWithPreAuthenticatedKeys",
    "getModelCatalog",
    "fuzzyFindStaffPicks",
    "lmLinkSetDisabled",
    "lmLinkUpdateDeviceName",
    "lmLinkSetPreferredDevice",
)
namespace.decline("channel", "downloadArtifact", "pushArtifact", "ensureAuthenticated")
namespace.mark(
    "nothing",
    "getWritableArtifactOwners",
    "isAuthenticated",
    "getAuthenticationStatus",
    "deauthenticate",
    "lmLinkStatus",
)
