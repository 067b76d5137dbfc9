"""What the server sends is compared with LM Studio's schemas in all tests; here, that this is so, and
that nothing it offers is left out."""

from __future__ import annotations

from typing import Any

import pytest
from fake_engine import FakeEngine
from wire_client import Refused, client, fake_server, load, query, run, stack
from wire_schema import Audit, AuditedSession, document

from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.wire.auth import Authenticator

pytestmark = pytest.mark.skipif(document("_frames") is None, reason="the schemas are not here")


def test_mistakes_are_found(audit: Audit) -> None:
    session = AuditedSession("llm", NAMESPACES["llm"].endpoints, Authenticator())
    session.receive('{"authVersion": 1, "clientIdentifier": "a", "clientPasskey": "b"}')
    session.receive('{"type": "rpcCall", "endpoint": "listLoaded", "callId": 1}')
    session.rpc_result(1, [])
    session.receive(
        '{"type": "channelCreate", "endpoint": "loadModel", "channelId": 2, "creationParameter": '
        '{"modelKey": "a", "loadConfigStack": {"layers": []}}}'
    )
    session.channel_send(2, {"type": "progress", "progress": 0.5})
    assert not audit.mistakes
    session.rpc_result(1)
    session.rpc_result(1, [{"type": "llm"}])
    session.channel_send(2, {"type": "progress", "progress": "half"})
    session.rpc_error(1, {"title": "No", "displayData": {"code": "generic.pathNotFound"}})
    assert len(audit.mistakes) >= 4
    audit.mistakes.clear()


def test_what_no_other_test_asks_by_wire() -> None:
    async def test() -> None:
        async with fake_server(FakeEngine()) as server:
            async with client(server, "embedding") as one:
                given: dict[str, Any] = {
                    "identifier": "pocket-embedding",
                    "loadConfigStack": stack(),
                }
                assert (await one.collect("getOrLoad", **given))[-1]["type"] == "loadSuccess"
                assert (await one.collect("getOrLoad", **given))[-1]["type"] == "alreadyLoaded"
                who = {"specifier": query("pocket-embedding"), "throwIfNotFound": True}
                assert (await one.call("getModelInfo", **who))["type"] == "embedding"
                assert await one.call("getInstanceProcessingState", **who)
                assert await one.call("unloadModel", identifier="pocket-embedding") is None
                none = {"specifier": query("pocket-embedding"), "throwIfNotFound": False}
                assert await one.call("getModelInfo", **none) is None
            async with client(server, "llm") as one:
                await load(one)
                counted = await one.call("countTokens", specifier=query(), inputString="a b")
                assert counted == {"tokenCount": 2}

    run(test)


def test_what_is_not_offered_says_so_by_a_typed_error() -> None:
    async def test() -> None:
        async with fake_server() as server:
            for namespace in NAMESPACES.values():
                declined = [e for e in namespace.endpoints.values() if e.lenient]
                async with client(server, namespace.name) as one:
                    for endpoint in declined:
                        ask = one.call if endpoint.kind == "rpc" else one.collect
                        with pytest.raises(Refused) as caught:
                            await ask(endpoint.name)
                        assert endpoint.name in caught.value.error["title"]
                        assert caught.value.error["suggestion"]

    run(test)
