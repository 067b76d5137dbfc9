"""The way of an HTTP request to the endpoints of the WebSocket API, which do the work."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from lmstudio_core.lenient import error_text
from lmstudio_server.api.endpoint import Call, Channel
from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.errors import PASSING, WireError, specific_model_unloaded

from .errors import DoorError, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from lmstudio_server.files import Upload
    from lmstudio_server.library import ModelFile
    from lmstudio_server.registry import Instance
    from lmstudio_server.services import Services

__all__ = ["Caller", "last", "model_not_found", "specifier", "stack"]

Kind = Literal["llm", "embedding"]
Packet = dict[str, Any]
Answer: TypeAlias = "Callable[[Mapping[str, Any]], Awaitable[None]]"

_SHOWN = 200
"""Characters of a name that a request may be answered with: any text may be given as one."""
_AHEAD = 64
"""Packets that may wait for a slow client before the generation waits too."""


def stack(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration stack of one layer."""
    given = [{"key": key, "value": value} for key, value in fields.items()]
    return {"layers": [{"layerName": "apiOverride", "config": {"fields": given}}]}


class Caller:
    """One HTTP request as a client of this server. ``close`` lets go of what it sent."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._client = f"http:{secrets.token_hex(8)}"

    def add_image(self, name: str, content_base64: str) -> Upload:
        """Keep an image for the time of the request."""
        return self.services.files.add(self._client, name, content_base64)

    def close(self) -> None:
        """Delete the images."""
        self.services.files.release(self._client)

    async def call(self, namespace: str, endpoint: str, parameter: Mapping[str, Any]) -> Any:
        """The answer of an rpc endpoint.

        Args:
            namespace: The server's namespace.
            endpoint: The endpoint's name.
            parameter: Its parameter in the wire's form.
        """
        entry = NAMESPACES[namespace].endpoints[endpoint]
        call = Call(self.services, namespace, self._client, trusted=False)
        return await entry.handler(cast("Any", call), entry.read_parameter(parameter))

    async def packets(
        self, namespace: str, endpoint: str, parameter: Mapping[str, Any]
    ) -> AsyncGenerator[Packet, None]:
        """The packets of a channel endpoint. Closing the generator ends the work.

        Args:
            namespace: The server's namespace.
            endpoint: The endpoint's name.
            parameter: Its parameter in the wire's form.
        """
        async with aclosing(self.talk(namespace, endpoint, parameter)) as packets:
            async for packet, _ in packets:
                yield packet

    async def talk(
        self, namespace: str, endpoint: str, parameter: Mapping[str, Any]
    ) -> AsyncGenerator[tuple[Packet, Answer], None]:
        """The same, each packet with what sends an answer.

        Args:
            namespace: The server's namespace.
            endpoint: The endpoint's name.
            parameter: Its parameter in the wire's form.
        """
        entry = NAMESPACES[namespace].endpoints[endpoint]
        checked = entry.read_parameter(parameter)
        queue: asyncio.Queue[Packet | Exception | None] = asyncio.Queue(_AHEAD)

        async def send(packet: Mapping[str, Any], /) -> None:
            await queue.put(dict(packet))

        channel = Channel(self.services, namespace, self._client, trusted=False, send=send)

        async def answer(message: Mapping[str, Any]) -> None:
            await channel.take({"type": "answer", **message})

        async def work() -> None:
            try:
                await entry.handler(channel, checked)
            except PASSING:
                raise
            except Exception as error:  # noqa: BLE001 - raised again where the packets are read
                await queue.put(error)
            except BaseException as error:  # noqa: BLE001 - as above
                failure = RuntimeError(error_text(error, named=True))
                failure.__cause__ = error
                await queue.put(failure)
            else:
                await queue.put(None)

        task = asyncio.get_running_loop().create_task(work())
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item, answer
        finally:
            # An error holds this frame, which would hold the error: a circle, and in it all that the
            # request sent, for as long as the collector does not come by.
            item = None
            task.cancel()
            await asyncio.wait({task})

    async def loading(
        self,
        kind: Kind,
        name: str,
        *,
        ttl: float | None = None,
        load_config: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Packet, None]:
        """The packets of getting a model into memory; just one if it is there already.

        Args:
            kind: ``"llm"`` or ``"embedding"``.
            name: An identifier or a model key.
            ttl: Seconds without use after which it is unloaded; ``None`` keeps it.
            load_config: How to load it, by the server's keys.
        """
        seconds = self.services.config.jit_ttl if ttl is None else ttl
        parameter: dict[str, Any] = {
            "identifier": self._name(kind, name),
            "loadConfigStack": stack(load_config or {}),
        }
        if seconds is not None:
            parameter["loadTtlMs"] = max(1, int(seconds * 1000))
        try:
            async with aclosing(self.packets(kind, "getOrLoad", parameter)) as packets:
                async for packet in packets:
                    yield packet
        except WireError as error:
            if (error.display or {}).get("code") != "generic.pathNotFound":
                raise
            raise await model_not_found(self.services, name) from error

    async def ready(
        self,
        kind: Kind,
        name: str,
        *,
        ttl: float | None = None,
        load_config: Mapping[str, Any] | None = None,
    ) -> Instance:
        """The model that a request names, loaded if it is not yet in memory.

        Args:
            kind: ``"llm"`` or ``"embedding"``.
            name: An identifier or a model key.
            ttl: Seconds without use after which it is unloaded; ``None`` keeps it.
            load_config: How to load it, by the server's keys.
        """
        return self.instance(await last(self.loading(kind, name, ttl=ttl, load_config=load_config)))

    async def file(self, name: str) -> ModelFile:
        """The file of a loaded instance, or the one that a request's model key means."""
        instance = self.services.registry.by_identifier(name)
        if instance is not None:
            return instance.file
        file = await asyncio.to_thread(self.services.library.find, name)
        if file is None:
            raise await model_not_found(self.services, name)
        return file

    def instance(self, loaded: Packet) -> Instance:
        """The instance that the last packet of a load tells of."""
        reference = loaded["info"]["instanceReference"]
        instance = self.services.registry.by_reference(reference)
        if instance is None:
            raise specific_model_unloaded(reference)
        return instance

    def predict(
        self, instance: Instance, history: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> AsyncGenerator[Packet, None]:
        """The packets of a chat's continuation.

        Args:
            instance: The loaded model.
            history: The chat in the wire's form.
            fields: The settings by the server's keys.
        """
        return self.packets(
            "llm", "predict", {"history": history, **self._prediction(instance, fields)}
        )

    def complete(
        self, instance: Instance, prompt: str, fields: Mapping[str, Any]
    ) -> AsyncGenerator[Packet, None]:
        """The packets of a text's continuation.

        Args:
            instance: The loaded model.
            prompt: The text.
            fields: The settings by the server's keys.
        """
        return self.packets(
            "llm", "completeRawText", {"rawPrompt": prompt, **self._prediction(instance, fields)}
        )

    def _prediction(self, instance: Instance, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "modelSpecifier": specifier(instance),
            "predictionConfigStack": stack(fields),
        }

    def _name(self, kind: Kind, name: str) -> str:
        if name:
            return name
        loaded = self.services.registry.instances(kind)
        if not loaded:
            raise invalid(
                '"model" is required: no model is loaded that could be meant.',
                "model",
                "missing_required_parameter",
            )
        return max(loaded, key=lambda i: i.last_used_ms or 0).identifier


async def model_not_found(services: Services, name: str) -> DoorError:
    """No model has this name; tells those that come close."""
    name = name[:_SHOWN]
    matches = await asyncio.to_thread(services.library.close_matches, name, 3)
    hint = " or ".join(f'"{match}"' for match in matches)
    return DoorError(
        404,
        f'There is no model "{name}" on this server.'
        + (f" Did you mean {hint}?" if hint else "")
        + " GET /v1/models lists them.",
        "model_not_found",
        "model",
    )


async def last(packets: AsyncGenerator[Packet, None]) -> Packet:
    """The packet with which a channel ends."""
    final: Packet = {}
    async with aclosing(packets):
        async for packet in packets:
            final = packet
    return final


def specifier(instance: Instance) -> dict[str, Any]:
    """A specifier that means exactly this instance."""
    return {"type": "instanceReference", "instanceReference": instance.reference}
