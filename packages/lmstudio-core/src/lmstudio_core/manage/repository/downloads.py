"""The repository's streams: downloads, pushes and the login in a browser."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ...errors import LMStudioValueError
from ...lenient import as_mapping, error_text, report
from ...protocol.operations import VOID, Channel, Endpoint
from .data import (
    AuthenticationRequest,
    DownloadFinalizedCallback,
    DownloadProgressCallback,
    DownloadProgressUpdate,
)
from .operations import artifact_name, server_path

__all__ = [
    "DownloadChannel",
    "download_artifact",
    "download_model",
    "ensure_authenticated",
    "push_artifact",
]

_DESCRIPTION_LIMIT: Final = 1000


class DownloadChannel(Channel[DownloadProgressUpdate, str]):
    """A download: its updates as events, the identifier of what was downloaded as the result."""

    def __init__(
        self,
        endpoint: str,
        parameter: Mapping[str, Any],
        on_progress: DownloadProgressCallback | None,
        on_finalize: DownloadFinalizedCallback | None,
    ) -> None:
        self.endpoint: Endpoint = Endpoint("repository", endpoint, "channel")
        self.parameter = parameter
        self._on_progress = on_progress
        self._on_finalize = on_finalize
        self._identifier = ""

    def feed(self, message: Any) -> Sequence[DownloadProgressUpdate]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        match packet.get("type"):
            case "downloadProgress":
                update = DownloadProgressUpdate.from_dict(as_mapping(packet.get("update")))
                report(self._on_progress, "on_progress", update)
                return (update,)
            case "startFinalizing":
                report(self._on_finalize, "on_finalize")
            case "success":
                self._identifier = str(packet.get("defaultIdentifier", ""))
                self.done = True
            case _:
                pass
        return ()

    def result(self) -> str:
        """What it came to; see ``Channel.result``."""
        return self._identifier


def download_model(
    download_identifier: str,
    on_progress: DownloadProgressCallback | None,
    on_finalize: DownloadFinalizedCallback | None,
) -> Channel[DownloadProgressUpdate, str]:
    """Download a model by the identifier of one of its options; the result is its model key."""
    parameter = {"downloadIdentifier": download_identifier}
    return DownloadChannel("downloadModel", parameter, on_progress, on_finalize)


def download_artifact(
    owner: str,
    name: str,
    path: str | os.PathLike[str],
    revision: int | None,
    on_progress: DownloadProgressCallback | None,
    on_finalize: DownloadFinalizedCallback | None,
) -> Channel[DownloadProgressUpdate, str]:
    """Download an artifact of LM Studio's hub into a folder; the result is empty."""
    parameter = {
        "artifactOwner": artifact_name("owner", owner),
        "artifactName": artifact_name("name", name),
        "revisionNumber": revision,  # null is the newest
        "path": server_path("path", path),
    }
    return DownloadChannel("downloadArtifact", parameter, on_progress, on_finalize)


class _PushChannel(Channel[str, None]):
    endpoint = Endpoint("repository", "pushArtifact", "channel")
    cancel_message = None  # the server knows no such packet
    done = True  # nor has it a last one: that it closes the channel says that all went well

    def __init__(
        self, parameter: Mapping[str, Any], on_message: Callable[[str], object] | None
    ) -> None:
        self.parameter = parameter
        self._on_message = on_message

    def feed(self, message: Any) -> Sequence[str]:
        packet = as_mapping(message)
        if packet.get("type") != "message":
            return ()
        words = str(packet.get("message", ""))
        report(self._on_message, "on_message", words)
        return (words,)

    def result(self) -> None:
        return None


def push_artifact(
    path: str | os.PathLike[str],
    *,
    description: str | None,
    make_private: bool | None,
    write_revision: bool | None,
    overrides: Any,
    on_message: Callable[[str], object] | None,
) -> Channel[str, None]:
    """Push an artifact's folder to LM Studio's hub."""
    if description is not None and len(description) > _DESCRIPTION_LIMIT:
        raise LMStudioValueError(
            f"description may have up to {_DESCRIPTION_LIMIT} characters; this one has "
            f"{len(description)}."
        )
    if overrides is not None:
        try:
            json.dumps(overrides)
        except (TypeError, ValueError) as error:
            raise LMStudioValueError(
                f"overrides must be plain JSON data: {error_text(error)}."
            ) from error
    optional = {
        "description": description,
        "makePrivate": make_private,
        "writeRevision": write_revision,
        "overrides": overrides,
    }
    parameter: dict[str, Any] = {"path": server_path("path", path)}
    parameter.update({key: value for key, value in optional.items() if value is not None})
    return _PushChannel(parameter, on_message)


class _LoginChannel(Channel[AuthenticationRequest, None]):
    endpoint = Endpoint("repository", "ensureAuthenticated", "channel")
    parameter = VOID
    cancel_message = None  # the server knows no such packet
    patient = True  # a person has to find the browser first

    def __init__(self, on_request: Callable[[AuthenticationRequest], object]) -> None:
        self._on_request = on_request

    def feed(self, message: Any) -> Sequence[AuthenticationRequest]:
        packet = as_mapping(message)
        match packet.get("type"):
            case "authenticationCode":
                fields = {key: value for key, value in packet.items() if key != "type"}
                request = AuthenticationRequest.from_dict(fields)
                # Not through report(): without a person who is shown the code this would wait
                # for ever, so that an error of the callback has to end it.
                self._on_request(request)
                return (request,)
            case "authenticated":
                self.done = True
            case _:
                pass
        return ()

    def result(self) -> None:
        return None


def ensure_authenticated(
    on_request: Callable[[AuthenticationRequest], object],
) -> Channel[AuthenticationRequest, None]:
    """Log in if nobody is logged in."""
    if not callable(on_request):
        raise LMStudioValueError(
            "on_request must be a function that shows the request to a person."
        )
    return _LoginChannel(on_request)
