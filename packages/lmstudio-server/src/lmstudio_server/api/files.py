"""The ``files`` namespace: uploads, the text of documents, and search in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.documents.reader import library_for
from lmstudio_server.errors import WireError
from lmstudio_server.kv.stack import collapse

from . import parameters as p
from .endpoint import Call, Channel, Namespace
from .race import first_of
from .retrieval import Retrieval, settings_of

if TYPE_CHECKING:
    from lmstudio_server.documents.document import Library
    from lmstudio_server.files import Upload

__all__ = ["namespace", "read_documents"]

namespace: Final = Namespace("files")


@namespace.rpc("uploadFileBase64", p.UploadFile)
async def upload_file_base64(call: Call, parameter: p.UploadFile) -> Any:
    """Keep a file for this client."""
    files, content = call.services.files, parameter.content_base64
    upload = await files.receive(call.client, parameter.name, content)
    return {
        "identifier": upload.identifier,
        "fileType": upload.file_type,
        "sizeBytes": upload.size_bytes,
    }


def _require(call: Call, identifier: str) -> Upload:
    upload = call.services.files.find(call.client, identifier)
    if upload is None:
        raise WireError(
            f'No file "{identifier}" is on this server.',
            cause="Uploaded files belong to the client that uploaded them, while it is connected.",
            suggestion="Upload the file again.",
        )
    return upload


@namespace.rpc("getLocalFileAbsolutePath", p.UseLocalFile)
async def get_local_file_absolute_path(call: Call, parameter: p.UseLocalFile) -> Any:
    """Where an uploaded file is on the server's disk."""
    return {"path": str(_require(call, parameter.file_name).path)}


@namespace.rpc("getDocumentParsingLibrary", p.FileIdentifier)
async def get_document_parsing_library(call: Call, parameter: p.FileIdentifier) -> Any:
    """What would read a file."""
    return library_for(_require(call, parameter.file_identifier)).to_wire()


@namespace.channel("parseDocument", p.ParseDocument)
async def parse_document(channel: Channel, parameter: p.ParseDocument) -> None:
    """The text of a file."""
    upload = _require(channel, parameter.file_identifier)
    library = library_for(upload)
    _check_parser(library, parameter.parse_opts.parser_id)

    async def progress(value: float) -> None:
        await channel.send({"type": "progress", "progress": value})

    async def work() -> None:
        await channel.send({"type": "parserLoaded", "parser": library.to_wire()})
        document = await channel.services.documents.read(upload, progress)
        content = {"content": document.text, "parser": library.to_wire()}
        await channel.send({"type": "result", **content})

    await first_of(work(), channel.cancelled.wait())


async def read_documents(call: Call, history: p.History) -> None:
    """Read the documents in a chat, so that their text is at hand."""
    for message in history.messages:
        for part in message.content:
            if not isinstance(part, p.FilePart):
                continue
            upload = call.services.files.find(call.client, part.identifier)
            if upload is not None and upload.file_type != "image":
                await call.services.documents.read(upload)


def _check_parser(library: Library, wanted: p.ParserId | None) -> None:
    if wanted is not None and (wanted.library, wanted.version) != (library.name, library.version):
        raise WireError(
            f"There is no parser {wanted.library} {wanted.version} for this file.",
            cause=f"lmstudio-server reads it with {library.name} {library.version}.",
            suggestion="Leave the parser out, or name this one.",
        )


@namespace.channel("retrieve", p.Retrieve, messages=("stop",))
async def retrieve(channel: Channel, parameter: p.Retrieve) -> None:
    """The passages of some files that fit a query."""
    files = [_require(channel, identifier) for identifier in parameter.file_identifiers]
    settings = settings_of(collapse([parameter.config.fields_]))
    retrieval = Retrieval(channel, parameter.query, files, settings)
    await first_of(retrieval.run(), channel.cancelled.wait())
