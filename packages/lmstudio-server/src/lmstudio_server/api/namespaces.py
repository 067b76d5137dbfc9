"""All namespaces by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import (
    diagnostics,
    embedding,
    files,
    llm,
    plugins,
    repository,
    runtime,
    system,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .endpoint import Namespace

__all__ = ["NAMESPACES"]

NAMESPACES: Final[Mapping[str, Namespace]] = {
    namespace.name: namespace
    for namespace in (
        llm.namespace,
        embedding.namespace,
        system.namespace,
        files.namespace,
        repository.namespace,
        plugins.namespace,
        runtime.namespace,
        diagnostics.namespace,
    )
}
