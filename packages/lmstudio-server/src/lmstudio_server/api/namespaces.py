"""All namespaces by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import embedding, files, llm, others, system

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
        others.repository,
        others.plugins,
        others.runtime,
        others.diagnostics,
    )
}
