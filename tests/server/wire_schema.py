"""LM Studio's own schemas of the protocol, and an ear at every session of every server in this process.

Whatever client a test uses, what the server sends it is compared with the schemas. Without them (they
are kept beside the repository) nothing is compared.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from lmstudio_server.wire.session import ABSENT, ChannelOpened, Event, Reply, RpcRequested, Session

SCHEMAS = Path(
    os.environ.get(
        "LMSTUDIO_PROTOCOL_SCHEMAS", str(Path(__file__).parents[3] / "shared/protocol/schema")
    )
)
ENOUGH = 20
"""How many packets of one kind are looked at in a test; a stream has thousands of the same."""


@lru_cache
def document(name: str) -> Any:
    """One of the files; ``None`` if it is not there, or nothing that reads it."""
    try:
        import jsonschema  # noqa: F401 - whether it is there
    except ImportError:
        return None
    path = SCHEMAS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


@lru_cache
def validator(namespace: str, endpoint: str, part: str) -> Any:
    """A JSON schema validator for a part of an endpoint; ``None`` without the schemas."""
    found = document(namespace)
    schema = None if found is None else found["endpoints"][endpoint].get(part)
    return None if schema is None else _validator(schema, found)


@lru_cache
def frame_validator() -> Any:
    """The same for whole frames of the server, errors with their details among them."""
    found = document("_frames")
    return None if found is None else _validator(found["serverToClient"], found)


def _validator(schema: Any, within: Any) -> Any:
    import jsonschema

    return jsonschema.Draft7Validator({**schema, "definitions": within["definitions"]})


def check_parameter(namespace: str, endpoint: str, value: Any) -> None:
    """Compare what a test itself sends."""
    found = validator(namespace, endpoint, "parameter")
    if found is not None and value is not None:
        found.validate(value)


class Audit:
    """What was found wrong, and how often each kind of packet was seen."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self.seen: Counter[tuple[str, ...]] = Counter()

    def frame(self, namespace: str, endpoint: str | None, text: str) -> None:
        """Compare one frame that the server sends."""
        frame = json.loads(text)
        packet = frame.get("message")
        kind = packet.get("type", "") if isinstance(packet, dict) else ""
        key = (namespace, endpoint or "", frame["type"], kind)
        self.seen[key] += 1
        if self.seen[key] > ENOUGH:
            return
        self._compare(frame_validator(), frame, key)
        if endpoint is not None and frame["type"] == "rpcResult":
            self._result(namespace, endpoint, frame, key)
        elif endpoint is not None and frame["type"] == "channelSend":
            self._compare(validator(namespace, endpoint, "toClientPacket"), packet, key)

    def _result(self, namespace: str, endpoint: str, frame: Any, key: tuple[str, ...]) -> None:
        found = validator(namespace, endpoint, "returns")
        if found is None:
            return
        if "result" not in frame:
            options = [found.schema, *found.schema.get("anyOf", ())]
            if not any(option.get("not") == {} for option in options):
                self.mistakes.append(f"{key}: nothing is returned, not even null")
            return
        packed = document(namespace)["endpoints"][endpoint]["serialization"] == "superjson"
        self._compare(found, frame["result"]["json"] if packed else frame["result"], key)

    def _compare(self, found: Any, value: Any, key: tuple[str, ...]) -> None:
        if found is not None:
            mistakes = (error.message[:300] for error in found.iter_errors(value))
            self.mistakes += [f"{key}: {message}" for message in mistakes]


class AuditedSession(Session):
    """A session that compares what it is about to send."""

    audit: ClassVar[Audit]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._calls: dict[int, str] = {}
        self._opened: dict[int, str] = {}

    def receive(self, text: str) -> list[Event]:
        entered = self.admission is not None
        events = super().receive(text)
        for event in events:
            if isinstance(event, RpcRequested):
                self._calls[event.call_id] = event.endpoint
            elif isinstance(event, ChannelOpened):
                self._opened[event.channel_id] = event.endpoint
            elif isinstance(event, Reply) and entered:
                self.audit.frame(self.namespace, None, event.text)
        return events

    def rpc_result(self, call_id: int, result: Any = ABSENT) -> str:
        return self._heard(self._calls.get(call_id), super().rpc_result(call_id, result))

    def rpc_error(self, call_id: int, error: Any) -> str:
        return self._heard(self._calls.get(call_id), super().rpc_error(call_id, error))

    def channel_send(self, channel_id: int, message: Any) -> str | None:
        return self._heard(self._opened.get(channel_id), super().channel_send(channel_id, message))

    def channel_close(self, channel_id: int) -> str | None:
        return self._heard(self._opened.get(channel_id), super().channel_close(channel_id))

    def channel_error(self, channel_id: int, error: Any) -> str | None:
        return self._heard(self._opened.get(channel_id), super().channel_error(channel_id, error))

    def _heard(self, endpoint: str | None, text: Any) -> Any:
        if text is not None:
            self.audit.frame(self.namespace, endpoint, text)
        return text
