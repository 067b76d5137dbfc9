"""Downloaded language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import Unpack

from lmstudio_core.models.downloaded import AsyncDownloadedModel, DownloadedModel
from lmstudio_core.timeouts import CallLimits

if TYPE_CHECKING:
    from lmstudio_core.models.infos import LlmInfo
    from lmstudio_core.models.operations import LoadProgressCallback

    from .config_dicts import LlmLoadConfigInput
    from .models import LLM, AsyncLLM

__all__ = ["AsyncDownloadedLlm", "DownloadedLlm"]

_SHOWN = ("model_key", "display_name", "architecture", "vision")


class DownloadedLlm(DownloadedModel):
    """A language model on the server's disk.

    Example:
        >>> client.llm.list_downloaded()[0].model().identifier
        'pocket'
    """

    _namespace: ClassVar[str | None] = "llm"
    _shown: ClassVar[tuple[str, ...]] = _SHOWN

    if TYPE_CHECKING:

        @property
        def info(self) -> LlmInfo: ...  # noqa: D102
        def load_new_instance(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            instance_identifier: str | None = ...,
            config: LlmLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> LLM: ...
        def model(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            config: LlmLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> LLM: ...


class AsyncDownloadedLlm(AsyncDownloadedModel):
    """A language model on the server's disk, for asyncio.

    Example:
        >>> async def main() -> None:
        ...     found = await client.llm.list_downloaded()
        ...     print(await (await found[0].model()).respond("Hello"))
    """

    _namespace: ClassVar[str | None] = "llm"
    _shown: ClassVar[tuple[str, ...]] = _SHOWN

    if TYPE_CHECKING:

        @property
        def info(self) -> LlmInfo: ...  # noqa: D102
        async def load_new_instance(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            instance_identifier: str | None = ...,
            config: LlmLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> AsyncLLM: ...
        async def model(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            config: LlmLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> AsyncLLM: ...
