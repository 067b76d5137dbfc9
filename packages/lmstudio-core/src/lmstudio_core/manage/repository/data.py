"""What the repository's endpoints give; sizes in bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...data import Number, ServerStruct

__all__ = [
    "AuthenticationRequest",
    "AuthenticationStatus",
    "DownloadFinalizedCallback",
    "DownloadProgressCallback",
    "DownloadProgressUpdate",
    "HubModel",
    "LocalArtifactFile",
    "LocalArtifactFileList",
    "ModelDownloadOptionInfo",
    "ModelSearchResult",
    "ModelSearchResultIdentifier",
    "StaffPick",
]


class DownloadProgressUpdate(ServerStruct):  # public
    """How far a download is.

    Example:
        >>> update = DownloadProgressUpdate(downloaded_bytes=50, total_bytes=200)
        >>> f"{update.downloaded_bytes / update.total_bytes:.0%}"
        '25%'
    """

    downloaded_bytes: int = 0
    total_bytes: int = 0
    speed_bytes_per_second: float = 0.0


DownloadProgressCallback = Callable[[DownloadProgressUpdate], object]  # public
"""Called again and again while a download runs."""

DownloadFinalizedCallback = Callable[[], object]  # public
"""Called once when everything is downloaded and the server starts to put it in its place."""


class ModelSearchResultIdentifier(ServerStruct):
    """Which model it is: ``type`` is ``"catalog"`` or ``"hf"`` (Hugging Face)."""

    type: str = ""
    identifier: str = ""


class ModelSearchResult(ServerStruct):
    """A model that a search found.

    ``exact`` says that it is what the search term names; ``staff_pick`` that LM Studio's staff
    recommends it.
    """

    name: str = ""
    identifier: ModelSearchResultIdentifier = ModelSearchResultIdentifier()
    exact: bool | None = None
    staff_pick: bool | None = None


class ModelDownloadOptionInfo(ServerStruct):
    """One way to download a model.

    ``fit_estimation`` says how it would run on the server's machine: ``"fullGPUOffload"``,
    ``"partialGPUOffload"``, ``"fitWithoutGPU"`` or ``"willNotFit"``.
    """

    name: str = ""
    quantization: str | None = None
    size_bytes: int = 0
    fit_estimation: str = ""
    recommended: bool | None = None
    download_identifier: str = ""
    indexed_model_identifier: str = ""
    compatibility_type: str = ""


class StaffPick(ServerStruct):
    """A model that LM Studio's staff recommends; ``created_at_timestamp`` in milliseconds."""

    owner: str = ""
    name: str = ""
    revision_number: int = 0
    created_at_timestamp: int = 0
    description: str = ""
    exact: bool = False


class HubModel(ServerStruct):
    """A model of LM Studio's catalog.

    ``metadata`` is as the server sent it: architectures, parameter counts, context lengths, what
    the model was trained for. ``staff_picked_at`` is a timestamp in milliseconds.
    """

    type: str = "model"
    owner: str = ""
    name: str = ""
    description: str = ""
    downloads: Number = 0
    like_count: Number = 0
    staff_picked_at: Number | None = None
    metadata: Mapping[str, Any] = {}


class LocalArtifactFile(ServerStruct):
    """A file of an artifact: where it is inside, and its size."""

    relative_path: str = ""
    size_bytes: int = 0


class LocalArtifactFileList(ServerStruct):
    """The files that would be pushed; ``used_ignore_file`` is the one that left others out."""

    files: tuple[LocalArtifactFile, ...] = ()
    used_ignore_file: str | None = None


class AuthenticationStatus(ServerStruct):
    """Who is logged in to LM Studio's hub on the server.

    ``type`` is ``"none"``, ``"loggedInUser"`` (with ``user_name``) or ``"computeDevice"`` (with
    ``owner_username`` and ``owner_is_organization``).
    """

    type: str = "none"
    user_name: str | None = None
    owner_username: str | None = None
    owner_is_organization: bool | None = None


class AuthenticationRequest(ServerStruct):
    """What a person has to do to log in.

    Either open ``filled_url``, which holds the code already, or open ``manual_url`` and type the
    ``code`` there.
    """

    code: str = ""
    manual_url: str = ""
    filled_url: str = ""
