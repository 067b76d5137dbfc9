"""What a chat looks like to the model, and how much of its context it takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from typing_extensions import Unpack

from lmstudio_core.timeouts import CallLimits

from .. import operations as ops
from ..chat import ChatInput
from ..config_dicts import PromptTemplateOptions
from ..results import ContextUsage
from ..tools import ToolDefinition
from .acting import ActingHandle, AsyncActingHandle

__all__ = ["AsyncContextHandle", "ContextHandle"]

_NO_OPTIONS: Final[PromptTemplateOptions] = {}


class ContextHandle(ActingHandle):
    """A loaded model whose chat template and context can be asked for."""

    def apply_prompt_template(
        self,
        history: ChatInput,
        opts: PromptTemplateOptions = _NO_OPTIONS,
        **limits: Unpack[CallLimits],
    ) -> str:
        """The text that the model's chat template makes of a chat, as the model would read it.

        Args:
            history: A ``Chat``, a string (one user message), or a dict with ``messages``.
            opts: ``omit_bos_token``, ``omit_eos_token`` (bools) and ``tool_definitions`` (tools),
                in either spelling.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioValueError: An argument cannot be right; nothing was sent.

        Example:
            >>> print(model.apply_prompt_template("Hello"))
        """
        return self._client.run(ops.apply_prompt_template(self, history, opts), **limits)

    def get_context_usage(
        self,
        history: ChatInput,
        *,
        tools: Iterable[ToolDefinition] | None = None,
        **limits: Unpack[CallLimits],
    ) -> ContextUsage:
        """How much of this model's context a chat takes.

        Args:
            history: A ``Chat``, a string (one user message), or a dict with ``messages``.
            tools: What the model would be offered; their descriptions take room as well.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The chat's tokens and the context length. Images are not counted: what they take is
            known to the server alone.

        Raises:
            LMStudioValueError: An argument cannot be right; nothing was sent.

        Example:
            >>> model.get_context_usage("Hello").fits
            True
        """
        return self._client.run(ops.context_usage(self, history, tools), **limits)


class AsyncContextHandle(AsyncActingHandle):
    """A loaded model whose chat template and context can be asked for; for asyncio."""

    async def apply_prompt_template(
        self,
        history: ChatInput,
        opts: PromptTemplateOptions = _NO_OPTIONS,
        **limits: Unpack[CallLimits],
    ) -> str:
        """The text that the model's chat template makes of a chat, as the model would read it.

        Args:
            history: A ``Chat``, a string (one user message), or a dict with ``messages``.
            opts: ``omit_bos_token``, ``omit_eos_token`` (bools) and ``tool_definitions`` (tools),
                in either spelling.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioValueError: An argument cannot be right; nothing was sent.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     print(await model.apply_prompt_template("Hello"))
        """
        return await self._client.run(ops.apply_prompt_template(self, history, opts), **limits)

    async def get_context_usage(
        self,
        history: ChatInput,
        *,
        tools: Iterable[ToolDefinition] | None = None,
        **limits: Unpack[CallLimits],
    ) -> ContextUsage:
        """How much of this model's context a chat takes.

        Args:
            history: A ``Chat``, a string (one user message), or a dict with ``messages``.
            tools: What the model would be offered; their descriptions take room as well.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The chat's tokens and the context length. Images are not counted: what they take is
            known to the server alone.

        Raises:
            LMStudioValueError: An argument cannot be right; nothing was sent.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     print((await model.get_context_usage("Hello")).fits)
        """
        return await self._client.run(ops.context_usage(self, history, tools), **limits)
