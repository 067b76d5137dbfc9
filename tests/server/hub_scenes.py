"""What the tests of the hub share: a repository on it, and a server that downloads from there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from fake_hub import PATIENCE, FakeHub
from gguf_files import gguf, model
from wire_client import Client, Refused, client

from lmstudio_server.config import ServerConfig
from lmstudio_server.serving.server import RunningServer, serve

REPOSITORY = "acme/Big-GGUF"
FILE = f"{REPOSITORY}/Big-Q8_0.gguf"
DATA = model(general__file_type=7, tensors=[("token_embd.weight", (512, 512))])
EYES = gguf({"general.architecture": "clip"}, [("v.patch_embd.weight", (4, 4))])


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncGenerator[RunningServer, None]:
    config = ServerConfig(port=0, model_folders=(folder,), **settings)
    async with serve(config, engine=FakeEngine()) as server:
        yield server


@asynccontextmanager
async def repository(folder: Path) -> AsyncGenerator[Client, None]:
    async with serving(folder) as server, client(server, "repository") as one:
        yield one


async def options(one: Client, name: str = REPOSITORY) -> list[dict[str, Any]]:
    identifier = {"type": "hf", "identifier": name}
    found = await one.call("getModelDownloadOptions", modelSearchResultIdentifier=identifier)
    return found["results"]


async def refused(one: Client, identifier: str = FILE) -> dict[str, Any]:
    with pytest.raises(Refused) as caught:
        await one.collect("downloadModel", downloadIdentifier=identifier)
    assert caught.value.error["cause"]
    assert caught.value.error["suggestion"]
    return caught.value.error


async def until_held(hub: FakeHub) -> None:
    assert await asyncio.to_thread(hub.held.wait, PATIENCE)
