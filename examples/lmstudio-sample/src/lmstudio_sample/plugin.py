"""The hooks. What they need is imported when they are called: this is loaded with every client."""

from __future__ import annotations

import logging
from typing import Any

from lmstudio_core.plugins.api import hookimpl

logger = logging.getLogger(__name__)

lmstudio_api_version = 1


@hookimpl
def lmstudio_register_toolsets(register: Any) -> None:
    """Offer the toolset."""
    from .tools import make_tools

    register("sample", make_tools)


@hookimpl
def lmstudio_request_finished(endpoint: str, seconds: float, error: BaseException | None) -> None:
    """Log each request. Programs wait for this, so it does no more than that."""
    logger.debug("%s took %.3f s: %s", endpoint, seconds, error or "ok")
