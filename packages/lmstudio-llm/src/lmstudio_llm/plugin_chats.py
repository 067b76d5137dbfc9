"""Answers with the help of LM Studio plugins, by the bundled server's own endpoint for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmstudio_cli import AnswerPrinter, echo
from lmstudio_core.config import kv_config
from lmstudio_core.program.terminal import is_terminal
from lmstudio_core.protocol.operations import Channel, Endpoint

from .chat import ChatInput, history_data

if TYPE_CHECKING:
    from lmstudio_core.protocol.runner import ChannelStream, SyncRunner

__all__ = ["PluginChat", "printed_with_plugins"]


class PluginChat(Channel[Mapping[str, Any], Mapping[str, Any]]):
    """A chat that is answered with plugins: packets as they come, and the last one as the result.

    Args:
        source: The loaded model's identifier.
        history: The chat so far.
        plugins: Which plugins take part: ``{"identifier": …, "config": {key: value}}`` each.
        config: Settings of predictions, by the server's keys.
    """

    endpoint = Endpoint("chats", "predictWithPlugins", "channel")
    cancel_message = {"type": "cancel"}  # noqa: RUF012 - never mutated

    def __init__(
        self,
        source: str,
        history: ChatInput,
        plugins: Sequence[Mapping[str, Any]],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        given = [{**p, **_wire(p.get("config"))} for p in plugins]
        self.parameter = {
            "source": source,
            "history": history_data(history),
            "config": kv_config(config or {}),
            "plugins": given,
        }
        self._last: Mapping[str, Any] = {}

    def feed(self, message: Any) -> Sequence[Mapping[str, Any]]:
        """Every packet is an event."""
        if message.get("type") == "success":
            self._last, self.done = message, True
            return ()
        return (message,)

    def result(self) -> Mapping[str, Any]:
        """``messages``, which are new, and ``input``, as the plugins have left it."""
        return self._last


def _wire(config: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if config is None else {"config": kv_config(config)}


def answer_to(request: Mapping[str, Any], ask: Any) -> dict[str, Any]:
    """What a plugin's question is answered with; ``ask`` asks the user for a line."""
    if request["type"] == "confirmToolCall":
        said = ask(f"May the tool {request['name']} be called with {request['parameters']}? [y/N] ")
        allowed = said.strip().lower() in ("y", "yes")
        result = (
            {"type": "allow"} if allowed else {"type": "deny", "denyReason": "the user said no"}
        )
        return {"type": "confirmToolCall", "result": result}
    return {"type": "textInput", "result": ask(f"{request['prompt']} ")}


def printed_with_plugins(
    client: SyncRunner, source: str, history: ChatInput, plugins: Sequence[str]
) -> Iterator[str]:
    """Print an answer as it comes, with what plugins show of their work on the error output."""
    named = [{"identifier": name} for name in plugins]
    printer = AnswerPrinter()
    try:
        with client.open(PluginChat(source, history, named)) as stream:
            for packet in stream:
                text = _shown(packet, stream)
                if text:
                    printer.write(text)
                    yield text
    finally:
        printer.end()


def _shown(packet: Mapping[str, Any], stream: ChannelStream[Any, Any]) -> str | None:
    """The text of the answer in a packet; other packets are dealt with."""
    match packet["type"]:
        case "fragment" if packet["fragment"]["reasoningType"] == "none":
            return str(packet["fragment"]["content"])
        case "update":
            update = packet["update"]
            if update["type"] == "contentBlock.appendText":
                return str(update["text"])
            if update["type"] in ("status.create", "status.update"):
                echo(f"[{packet['plugin']}: {update['state']['text']}]", err=True)
        case "toolCall":
            echo(f"[{packet['plugin']}: calling {packet['name']}]", err=True)
        case "request":
            response = answer_to(packet["request"], _asked)
            answer = {"type": "answer", "requestId": packet["requestId"], "response": response}
            stream.send(answer)
        case _:
            pass
    return None


def _asked(prompt: str) -> str:
    """A line of the user's; nothing where nobody can be asked."""
    if not is_terminal(sys.stdin):
        return ""
    echo(prompt, err=True, nl=False)
    return sys.stdin.readline().rstrip("\n")
