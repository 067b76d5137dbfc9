"""What this package announces to the clients: the namespace ``llm`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.capability import Capability

from . import HOME_OF

if TYPE_CHECKING:
    from .namespaces import AsyncLLMNamespace, LLMNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[LLMNamespace, AsyncLLMNamespace]] = Capability(
    name="llm",
    sync_namespace="lmstudio_llm.namespaces:LLMNamespace",
    async_namespace="lmstudio_llm.namespaces:AsyncLLMNamespace",
    exports={name: f"lmstudio_llm.{home}:{name}" for name, home in HOME_OF.items()},
    model_kind="lmstudio_llm.kind:LLM_KIND",
)
