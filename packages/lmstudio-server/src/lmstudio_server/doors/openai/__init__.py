"""The HTTP API that OpenAI's clients speak, as far as LM Studio offers it."""

from __future__ import annotations
