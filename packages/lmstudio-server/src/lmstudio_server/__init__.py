"""A headless server that speaks LM Studio's WebSocket API over llama.cpp.

Importing this package starts nothing and loads little: the server itself lives in
``lmstudio_server.serving``, the one started on demand in ``lmstudio_server.embedded``.
"""

from __future__ import annotations

from ._version import __version__

__all__ = ["__version__"]
