"""``client.llm``: language models of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import Unpack

from lmstudio_core.models.namespaces import AsyncModelNamespace, SyncModelNamespace
from lmstudio_core.timeouts import CallLimits

from .config_dicts import LlmLoadConfigInput
from .downloaded import AsyncDownloadedLlm, DownloadedLlm
from .kind import LLM_KIND
from .models import LLM, AsyncLLM

if TYPE_CHECKING:
    from lmstudio_core.models.handles import ModelSpecifierInput
    from lmstudio_core.models.infos import LlmInstanceInfo
    from lmstudio_core.models.kind import ModelKind


__all__ = ["AsyncLLMNamespace", "LLMNamespace"]


class LLMNamespace(SyncModelNamespace[LLM, DownloadedLlm, LlmLoadConfigInput]):
    """Language models: load, list and unload them.

    Example:
        >>> print(client.llm.model("pocket").respond("What is the capital of France?"))
        The capital of France is Paris.
    """

    server_namespace: ClassVar[str] = "llm"
    kind: ClassVar[ModelKind] = LLM_KIND

    if TYPE_CHECKING:

        def get_model_info(  # noqa: D102
            self, model_specifier: ModelSpecifierInput, **limits: Unpack[CallLimits]
        ) -> LlmInstanceInfo: ...


class AsyncLLMNamespace(AsyncModelNamespace[AsyncLLM, AsyncDownloadedLlm, LlmLoadConfigInput]):
    """Language models, for asyncio: load, list and unload them.

    Example:
        >>> async def main() -> None:
        ...     model = await client.llm.model("pocket")
        ...     print(await model.respond("Hello"))
    """

    server_namespace: ClassVar[str] = "llm"
    kind: ClassVar[ModelKind] = LLM_KIND

    if TYPE_CHECKING:

        async def get_model_info(  # noqa: D102
            self, model_specifier: ModelSpecifierInput, **limits: Unpack[CallLimits]
        ) -> LlmInstanceInfo: ...
