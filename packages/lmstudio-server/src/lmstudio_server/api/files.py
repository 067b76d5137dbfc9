"""The ``files`` namespace: uploads."""

from __future__ import annotations

from typing import Any

from lmstudio_server.errors import WireError

from . import parameters as p
from .endpoint import Call, Namespace

__all__ = ["namespace"]

namespace = Namespace("files")


@namespace.rpc("uploadFileBase64", p.UploadFile)
async def upload_file_base64(call: Call, parameter: p.UploadFile) -> Any:
    """Keep a file for this client."""
    upload = call.services.files.add(call.client, parameter.name, parameter.content_base64)
    return {
        "identifier": upload.identifier,
        "fileType": upload.file_type,
        "sizeBytes": upload.size_bytes,
    }


@namespace.rpc("getLocalFileAbsolutePath", p.UseLocalFile)
async def get_local_file_absolute_path(call: Call, parameter: p.UseLocalFile) -> Any:
    """Where an uploaded file is on the server's disk."""
    upload = call.services.files.find(call.client, parameter.file_name)
    if upload is None:
        raise WireError(
            f'No file "{parameter.file_name}" is on this server.',
            cause="Uploaded files belong to the client that uploaded them, while it is connected.",
            suggestion="Upload the file again.",
        )
    return {"path": str(upload.path)}


namespace.decline("rpc", "getDocumentParsingLibrary")
namespace.decline("channel", "retrieve", "parseDocument")
