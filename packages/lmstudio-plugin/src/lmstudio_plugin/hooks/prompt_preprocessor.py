"""Prompt preprocessors: what the user has written, changed before a model reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from lmstudio_core.errors import LMStudioError
from lmstudio_core.lenient import error_text, is_mapping
from lmstudio_llm.messages import UserMessage

from ..data import HookRequest
from ..errors import LMStudioPluginRuntimeError
from ..operations import HookChannel, HookName
from ..setting_values import plain_config
from .blocks import StatusBlock
from .common import ServerRequestError, StatusStepStatus, TGlobalConfigSchema, TPluginConfigSchema
from .processing import ProcessingController
from .serving import TaskServer, called

__all__ = ["PromptPreprocessorController", "PromptPreprocessorHook", "run_prompt_preprocessor"]

T = TypeVar("T")


class PromptPreprocessorController(
    ProcessingController[HookRequest, TPluginConfigSchema, TGlobalConfigSchema]
):  # public
    """What a prompt preprocessor is given beside the message."""

    async def _send_handle_update(self, update: Any) -> Any:
        self.update(plain_config(update))

    async def _create_status_block(
        self, block_id: str, status: StatusStepStatus, message: str
    ) -> None:
        self._create_status(block_id, status, message)

    async def _send_status_update(
        self, block_id: str, status: StatusStepStatus, message: str
    ) -> None:
        state = {"status": status, "text": message}
        self.update({"type": "status.update", "id": block_id, "state": state})

    async def notify_start(self, message: str) -> StatusBlock:
        """Show a new status that waits; returns it, to be changed later."""
        return self.status(message)

    async def notify_done(self, message: str) -> None:
        """Show a new status that is done."""
        self.status(message, "done")


PromptPreprocessorHook = Callable[
    [PromptPreprocessorController[Any, Any], UserMessage], Awaitable[Any]
]


class PromptPreprocessor(TaskServer):
    """Lets the plugin's function preprocess what the server asks."""

    hook: ClassVar[HookName] = "promptPreprocessor"
    request_type: ClassVar[str] = "preprocess"
    what: ClassVar[str] = "The prompt preprocessor"

    async def answer(self, request: HookRequest) -> Mapping[str, Any]:
        """The message as the plugin leaves it."""
        message = _message(request.input)
        request = request.model_copy(update={"input": message})
        ctl = PromptPreprocessorController[Any, Any](
            self.session, request, self.plugin_config_schema, self.global_config_schema
        )
        given = await called(self.hook_impl, ctl, message)
        await ctl.flush()
        processed = message if given is None else _processed(given)
        return {"processed": processed.to_dict()}


def _message(raw: Any) -> UserMessage:
    try:
        return raw if isinstance(raw, UserMessage) else UserMessage.from_dict(raw)
    except (LMStudioError, TypeError, ValueError) as error:
        raise ServerRequestError(f"the message is no user's: {error_text(error)}") from error


def _processed(given: Any) -> UserMessage:
    if isinstance(given, UserMessage):
        return given
    if isinstance(given, str):
        return UserMessage.from_dict({"role": "user", "content": [{"type": "text", "text": given}]})
    if is_mapping(given):
        try:
            content: Any = given.get("content")
            if isinstance(content, str):
                content = [{"type": "text", "text": content}]
            return UserMessage.from_dict({"role": "user", **given, "content": content})
        except (LMStudioError, TypeError, ValueError) as error:
            raise LMStudioPluginRuntimeError(
                f"it returned a dict that is no user's message: {error_text(error)}"
            ) from error
    raise LMStudioPluginRuntimeError(
        f"it returned {type(given).__name__}; a preprocessor returns a UserMessage, a dict, a str or None"
    )


async def run_prompt_preprocessor(
    plugin_name: str,
    hook_impl: PromptPreprocessorHook,
    plugin_config_schema: Any,
    global_config_schema: Any,
    session: Any,
    notify_ready: Callable[[], Any],
) -> None:
    """Open the hook and answer, until the server closes it."""
    server = PromptPreprocessor(plugin_name, hook_impl, plugin_config_schema, global_config_schema)
    await server.process_requests(session, notify_ready)


@dataclass(frozen=True)
class ChannelEvent(Generic[T]):
    """Something that came on a hook's channel."""

    arg: T


class PromptPreprocessingAbortEvent(ChannelEvent[str]):
    """The server aborts the task of that id."""


class PromptPreprocessingRequestEvent(ChannelEvent[HookRequest]):
    """The server asks."""


PromptPreprocessingRxEvent = PromptPreprocessingAbortEvent | PromptPreprocessingRequestEvent


class PromptPreprocessingEndpoint(HookChannel):
    """The channel on which a prompt preprocessor is asked."""

    _API_ENDPOINT = "setPromptPreprocessor"
    _NOTICE_PREFIX = "Prompt preprocessing"

    def __init__(self) -> None:
        super().__init__("promptPreprocessor")
