"""The page and the data it shows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from lmstudio_server._version import __version__
from lmstudio_server.doors.sse import JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request

    from lmstudio_server.registry import Instance
    from lmstudio_server.services import Services

__all__ = ["routes", "snapshot"]

PAGE = resources.files("lmstudio_server.doors.page") / "status.html"


def routes(services: Services) -> list[BaseRoute]:
    """The page, which holds no data, and the data, which may need a token."""

    async def data(_request: Request) -> Response:
        return JSONResponse(await snapshot(services), headers={"Cache-Control": "no-store"})

    return [Route("/", _page), Route("/status.json", data)]


async def snapshot(services: Services) -> dict[str, Any]:
    """What the server has and does at this moment."""
    files = await asyncio.to_thread(services.library.scan)
    instances = services.registry.instances()
    record = services.record
    return {
        "version": __version__,
        "uptimeSeconds": round(time.time() - services.started, 1),
        "connections": services.presence.sockets,
        "predictions": record.predictions,
        "predictedTokens": record.predicted_tokens,
        "clock": time.monotonic(),
        "loading": services.registry.loading(),
        "loaded": [_instance(instance) for instance in instances],
        "models": [
            {
                "key": file.key,
                "kind": file.kind,
                "params": file.params_string,
                "quantization": file.quantization_name,
                "sizeBytes": file.size_bytes,
            }
            for file in files
            if file.problem is None
        ],
    }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "identifier": instance.identifier,
        "key": instance.key,
        "kind": instance.kind,
        "contextLength": instance.model.context_length,
        "ttlMs": instance.ttl_ms,
        "inFlight": len(instance.activities),
        **instance.processing_state(),
    }


async def _page(_request: Request) -> Response:
    text, policy = _content()
    return HTMLResponse(
        text,
        headers={
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        },
    )


@lru_cache(maxsize=1)
def _content() -> tuple[str, str]:
    """The page, and a policy that allows its own script and style and nothing else."""
    text = PAGE.read_text(encoding="utf-8")
    script, style = (_hash_of(tag, text) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def _hash_of(tag: str, text: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
