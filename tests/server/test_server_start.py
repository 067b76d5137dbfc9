"""What a server's start brings into its process."""

from __future__ import annotations

import subprocess
import sys

_START = """
import asyncio, sys
from lmstudio_server.config import ServerConfig
from lmstudio_server.serving.server import serve
import lmstudio_server.cli, lmstudio_server.daemon.run

async def main():
    async with serve(ServerConfig(port=0)):
        print(*sys.modules, sep="\\n")

asyncio.run(main())
"""


def test_what_few_clients_use_is_imported_when_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _START], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "lmstudio_server.engines.llamacpp.engine" in loaded  # it did start
    for name in (
        "h11",
        "tomllib",
        "lmstudio_server.api.plugins",
        "lmstudio_server.api.repository",
        "lmstudio_server.api.runtime",
        "lmstudio_server.engines.llamacpp.model",
        "lmstudio_server.engines.remote.client",
        "lmstudio_server.hub",
        "starlette",
        "xllamacpp",
    ):
        assert name not in loaded
