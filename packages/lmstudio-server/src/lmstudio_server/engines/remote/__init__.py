"""The remote engine: models of other servers that speak OpenAI's API (llama-server, vLLM and others).

``settings`` says which servers, ``engine`` lists and loads their models, ``model`` asks them. ``bodies``
and ``chunks`` translate between the engine contract and OpenAI's form without any I/O, ``problems``
says what went wrong; ``client`` does the I/O. Nothing here is imported, and no library loaded, while
no remote server is configured.
"""

from __future__ import annotations

from .engine import RemoteEngine
from .settings import RemoteModel, RemoteServer, RemoteSettingsError

__all__ = ["RemoteEngine", "RemoteModel", "RemoteServer", "RemoteSettingsError"]
