"""All of it against a scripted server: no LM Studio, no model, no network."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from lmstudio_core.plugins.api import AsyncClient, Client, LMStudioServerError, LMStudioValueError
from lmstudio_testing import FakeServer, ServerFailure

from lmstudio_sample import plugin
from lmstudio_sample.capability import SAMPLE
from lmstudio_sample.commands import command

MODELS = [
    {"type": "llm", "modelKey": "large", "sizeBytes": 4_200_000_000},
    {"type": "embedding", "modelKey": "small", "sizeBytes": 46_000_000},
]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.on("system.version", {"version": "0.4.0", "build": 1})
        server.on("system.listDownloadedModels", MODELS)
        yield server


def test_sync(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        found = client.capability(SAMPLE).overview()
    assert (found.version, found.models, found.size_bytes) == ("0.4.0", 2, 4_246_000_000)


def test_async(server: FakeServer) -> None:
    async def main() -> int:
        async with AsyncClient(server.api_host) as client:
            return (await client.capability(SAMPLE).overview("llm")).models

    assert asyncio.run(main()) == 1


def test_it_is_found_once_it_is_installed(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        assert client.capability("sample").overview("embedding").size_bytes == 46_000_000


def test_errors(server: FakeServer) -> None:
    server.on("system.version", ServerFailure("the server is tired"))
    with Client(server.api_host) as client:
        with pytest.raises(LMStudioValueError, match="not 'image'"):
            client.capability(SAMPLE).overview("image")
        with pytest.raises(LMStudioServerError, match="tired"):
            client.capability(SAMPLE).overview()


def test_the_command(server: FakeServer) -> None:
    done = CliRunner().invoke(command, ["--host", server.api_host])
    assert done.output == "2 models, 4.2 GB, on a server 0.4.0\n"
    done = CliRunner().invoke(command, ["--host", server.api_host, "--kind", "llm", "--json"])
    assert json.loads(done.output)["models"] == 1


def test_the_toolset() -> None:
    offered: dict[str, Any] = {}
    plugin.lmstudio_register_toolsets(offered.__setitem__)
    (readable_size,) = offered["sample"]()
    assert readable_size(1500) == "1.5 kB"


def test_the_observer(server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, plugin.__name__)
    with Client(server.api_host) as client:
        client.capability(SAMPLE).overview()
    assert "system.version took" in caplog.text
