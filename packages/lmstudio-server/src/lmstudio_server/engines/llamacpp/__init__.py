"""The llama.cpp engine: one worker process per loaded model, asked over a private socket.

``engine`` loads, ``model`` answers; ``worker`` is what the process runs. The modules ``bodies``,
``chat_fold``, ``completion_fold``, ``markup``, ``calls``, ``stops``, ``options`` and ``diagnosis``
decide without any I/O; ``transport`` and ``supervisor`` do the I/O without deciding.
"""

from __future__ import annotations

from .engine import LlamaCppEngine

__all__ = ["LlamaCppEngine"]
