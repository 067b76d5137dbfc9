"""``client.files``: images and documents for the server."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from ..plugins.capability import Capability

if TYPE_CHECKING:
    from .data import (
        DocumentParsingLibrary,
        ParsedDocument,
        RetrievalEvent,
        RetrievalResult,
        RetrievalResultEntry,
    )
    from .facade import AsyncFilesNamespace, FilesNamespace

__all__ = [
    "CAPABILITY",
    "AsyncFilesNamespace",
    "DocumentParsingLibrary",
    "FilesNamespace",
    "ParsedDocument",
    "RetrievalEvent",
    "RetrievalResult",
    "RetrievalResultEntry",
]

CAPABILITY: Final[Capability[FilesNamespace, AsyncFilesNamespace]] = Capability(
    name="files",
    sync_namespace=f"{__name__}.facade:FilesNamespace",
    async_namespace=f"{__name__}.facade:AsyncFilesNamespace",
)

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake

    def __getattr__(name: str) -> Any:
        # The capability is looked at by every facade lookup: the classes wait until they are needed.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = "facade" if name.endswith("Namespace") else "data"
        return getattr(importlib.import_module(f".{home}", __name__), name)
