"""Chats, messages and files, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_core.files.handles import FileHandle as FileHandle
    from lmstudio_core.files.handles import FileHandleDict as FileHandleDict
    from lmstudio_core.files.handles import FileHandleInput as FileHandleInput
    from lmstudio_core.files.handles import FileType as FileType
    from lmstudio_core.files.handles import LocalFileInput as LocalFileInput
    from lmstudio_llm.chat import Chat as Chat
    from lmstudio_llm.chat import ResponseInput as AnyAssistantResponseInput
    from lmstudio_llm.chat import ResponseInput as AssistantResponseInput
    from lmstudio_llm.chat import UserInput as AnyUserMessageInput
    from lmstudio_llm.chat import UserInput as UserMessageInput
    from lmstudio_llm.chat_parts import RequestInput as ToolCallRequestInput
    from lmstudio_llm.messages import AnyChatMessage as AnyChatMessage
    from lmstudio_llm.messages import AnyChatMessageDict as AnyChatMessageDict
    from lmstudio_llm.messages import AssistantResponse as AssistantResponse
    from lmstudio_llm.messages import AssistantResponseContent as AssistantResponseContent
    from lmstudio_llm.messages import ChatHistoryData as ChatHistoryData
    from lmstudio_llm.messages import ChatHistoryDataDict as ChatHistoryDataDict
    from lmstudio_llm.messages import SystemPrompt as SystemPrompt
    from lmstudio_llm.messages import SystemPromptContent as SystemPromptContent
    from lmstudio_llm.messages import TextData as TextData
    from lmstudio_llm.messages import TextDataDict as SystemPromptContentDict
    from lmstudio_llm.messages import TextDataDict as TextDataDict
    from lmstudio_llm.messages import ToolCallRequest as ToolCallRequest
    from lmstudio_llm.messages import ToolCallResultData as ToolCallResultData
    from lmstudio_llm.messages import ToolResultMessage as ToolResultMessage
    from lmstudio_llm.messages import UserMessage as UserMessage
    from lmstudio_llm.messages import UserMessageContent as UserMessageContent
    from lmstudio_llm.messages import UserMessageDict as UserMessageDict

_HOMES: Final = {
    "AnyAssistantResponseInput": "lmstudio_llm.chat:ResponseInput",
    "AnyChatMessage": "lmstudio_llm.messages:AnyChatMessage",
    "AnyChatMessageDict": "lmstudio_llm.messages:AnyChatMessageDict",
    "AnyUserMessageInput": "lmstudio_llm.chat:UserInput",
    "AssistantResponse": "lmstudio_llm.messages:AssistantResponse",
    "AssistantResponseContent": "lmstudio_llm.messages:AssistantResponseContent",
    "AssistantResponseInput": "lmstudio_llm.chat:ResponseInput",
    "Chat": "lmstudio_llm.chat:Chat",
    "ChatHistoryData": "lmstudio_llm.messages:ChatHistoryData",
    "ChatHistoryDataDict": "lmstudio_llm.messages:ChatHistoryDataDict",
    "FileHandle": "lmstudio_core.files.handles:FileHandle",
    "FileHandleDict": "lmstudio_core.files.handles:FileHandleDict",
    "FileHandleInput": "lmstudio_core.files.handles:FileHandleInput",
    "FileType": "lmstudio_core.files.handles:FileType",
    "LocalFileInput": "lmstudio_core.files.handles:LocalFileInput",
    "SystemPrompt": "lmstudio_llm.messages:SystemPrompt",
    "SystemPromptContent": "lmstudio_llm.messages:SystemPromptContent",
    "SystemPromptContentDict": "lmstudio_llm.messages:TextDataDict",
    "TextData": "lmstudio_llm.messages:TextData",
    "TextDataDict": "lmstudio_llm.messages:TextDataDict",
    "ToolCallRequest": "lmstudio_llm.messages:ToolCallRequest",
    "ToolCallRequestInput": "lmstudio_llm.chat_parts:RequestInput",
    "ToolCallResultData": "lmstudio_llm.messages:ToolCallResultData",
    "ToolResultMessage": "lmstudio_llm.messages:ToolResultMessage",
    "UserMessage": "lmstudio_llm.messages:UserMessage",
    "UserMessageContent": "lmstudio_llm.messages:UserMessageContent",
    "UserMessageDict": "lmstudio_llm.messages:UserMessageDict",
    "UserMessageInput": "lmstudio_llm.chat:UserInput",
}

__all__ = [
    "AnyAssistantResponseInput",
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AnyUserMessageInput",
    "AssistantResponse",
    "AssistantResponseContent",
    "AssistantResponseInput",
    "Chat",
    "ChatHistoryData",
    "ChatHistoryDataDict",
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "FileType",
    "LocalFileInput",
    "SystemPrompt",
    "SystemPromptContent",
    "SystemPromptContentDict",
    "TextData",
    "TextDataDict",
    "ToolCallRequest",
    "ToolCallRequestInput",
    "ToolCallResultData",
    "ToolResultMessage",
    "UserMessage",
    "UserMessageContent",
    "UserMessageDict",
    "UserMessageInput",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
