"""Between LM Studio's shapes and the engine's: pure functions, no server in them."""

from __future__ import annotations
