"""The headers of model files, and errors in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lenient import error_text
from lmstudio_server.engines.base import EngineError
from lmstudio_server.library.gguf import GgufError, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_server.library.gguf import GgufHeader


def header_of(path: Path, *, whole: frozenset[str] = frozenset()) -> GgufHeader:
    """Return a model file's header.

    Args:
        path: The file.
        whole: Keys of arrays to keep however long they are.

    Raises:
        EngineError: the file is not there, or damaged. (llama.cpp would say so too, but only in its
            log, the end of which is lost now and then when its process ends.)
    """
    name = path.name
    if not path.is_file():
        raise EngineError(
            f"Could not load {name}",
            cause=f"there is no file {path}",
            suggestion="Check the model's folder, or download the model again.",
        )
    try:
        return read_header(path, whole=whole)
    except (GgufError, OSError) as error:
        raise EngineError(
            f"Could not load {name}",
            cause=error_text(error),
            suggestion="The file is damaged, incomplete or no GGUF: download it again.",
        ) from error


def number_of(header: GgufHeader, key: str) -> int | None:
    """Return a whole number under the architecture's own ``key``, or ``None``."""
    return header.integer(f"{header.text('general.architecture')}.{key}")
