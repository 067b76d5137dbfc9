"""What is not offered: the endpoints that the table calls errors are just that, and the empty ones empty."""

from __future__ import annotations

from typing import Any

import pytest
from wire_client import Client, client, fake_server, run

from lmstudio_server.api.namespaces import NAMESPACES

PARAMETERS: dict[str, dict[str, Any]] = {
    "removeEngine": {"name": "llama.cpp", "version": "?"},
    "downloadRuntimeExtension": {"name": "x", "version": "1", "updateSelections": False},
    "searchRuntimeExtensions": {"query": "llama", "includeIncompatible": True},
}
PROCESS = {"pci": "p", "token": "t"}


def offered(offer: str) -> list[tuple[str, str, str]]:
    return [
        (namespace, name, endpoint.kind)
        for namespace, table in NAMESPACES.items()
        for name, endpoint in table.endpoints.items()
        if endpoint.offer == offer
    ]


async def answer(one: Client, name: str, kind: str) -> Any:
    parameter = PROCESS if name.startswith("processing") else PARAMETERS.get(name, {})
    key = {"rpc": ("rpcCall", "callId", "parameter")}.get(
        kind, ("channelCreate", "channelId", "creationParameter")
    )
    extra = {key[2]: parameter} if parameter else {}
    await one.send(type=key[0], endpoint=name, **{key[1]: 1}, **extra)
    return await one.receive()


@pytest.mark.parametrize(("namespace", "name", "kind"), offered("error"))
def test_what_is_not_offered_is_an_error_that_says_what_to_do(
    namespace: str, name: str, kind: str
) -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, namespace) as one:
            frame = await answer(one, name, kind)
            assert frame["type"] == {"rpc": "rpcError", "channel": "channelError"}[kind], frame
            assert frame["error"]["title"]
            assert frame["error"]["cause"]
            assert frame["error"]["suggestion"]

    run(test)


EMPTY = [row for row in offered("nothing") if row[2] == "rpc"]


@pytest.mark.parametrize(("namespace", "name", "kind"), EMPTY)
def test_what_is_never_there_is_said_to_be_empty(namespace: str, name: str, kind: str) -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, namespace) as one:
            frame = await answer(one, name, kind)
            assert frame["type"] == "rpcResult", frame
            result: dict[str, Any] = frame.get("result") or {}
            said = [value for key, value in result.items() if key != "deviceName"]
            empty: tuple[Any, ...] = ([], False, None, "offline", ["notLoggedIn"], {"type": "none"})
            assert all(value in empty for value in said)

    run(test)
