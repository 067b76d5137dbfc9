"""The routes of downloads under ``/api/v1/models/download``."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lmstudio_server.doors.bodies import read
from lmstudio_server.doors.errors import DoorError, described, invalid, not_implemented
from lmstudio_server.doors.openai.routes import json_body
from lmstudio_server.doors.sse import JSONResponse
from lmstudio_server.hub.errors import HubError, NotOnHubError

from .answers import job_answer
from .requests import DownloadBody

if TYPE_CHECKING:
    from starlette.requests import Request

    from lmstudio_server.hub.offers import Offer
    from lmstudio_server.hub.service import Offers
    from lmstudio_server.services import Services

__all__ = ["download_routes", "repository_and_file"]

_PATH: Final = "/api/v1/models/download"
_HUB_HOSTS: Final = ("huggingface.co", "www.huggingface.co", "hf.co")
_NAME: Final = re.compile(
    r"([^/\s]{1,128}/[^/\s]{1,128})(?:/(?:blob|resolve|tree)/[^/]+(?:/(.+))?)?"
)


def download_routes(services: Services) -> list[BaseRoute]:
    """The routes."""
    api = _Downloads(services)
    return [
        Route(_PATH, api.start, methods=["POST"]),
        Route(f"{_PATH}/status", api.all),
        Route(f"{_PATH}/status/{{job}}", api.status),
    ]


def repository_and_file(model: str, hub: str | None = None) -> tuple[str, str | None]:
    """The repository that a request names, by ``owner/name`` or by a link, and the file in it.

    Args:
        model: What the request says.
        hub: The address of the hub that is asked in place of Hugging Face: links to it count, too.

    Raises:
        DoorError: It names none of Hugging Face's.
    """
    text = model.strip()
    if "://" in text or text.startswith(tuple(f"{host}/" for host in _HUB_HOSTS)):
        host, path = _link(text if "://" in text else f"https://{text}")
        if host in ("lmstudio.ai", "www.lmstudio.ai"):
            raise not_implemented(
                "LM Studio's catalog is not offered here. Name the model's repository on Hugging "
                "Face.",
                "model",
            )
        if not host or host not in (*_HUB_HOSTS, _link(hub or "")[0]):
            raise invalid(f'"{model[:200]}" is no link to Hugging Face.', "model", "invalid_value")
        text = unquote(path).strip("/")
    found = _NAME.fullmatch(text)
    if found is None:
        raise invalid(
            f'"{model[:200]}" is no model of Hugging Face: give owner/name, or a link to it.',
            "model",
            "invalid_value",
        )
    return found[1], found[2]


def _link(text: str) -> tuple[str, str]:
    """The host and the path of a link; no host if it is none."""
    try:
        link = urlsplit(text)
    except ValueError:
        return "", ""
    return (link.hostname or "", link.path) if link.scheme in ("http", "https") else ("", "")


class _Downloads:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def start(self, request: Request) -> Response:
        body = read(DownloadBody, await json_body(request))
        repository, file = repository_and_file(body.model, os.environ.get("HF_ENDPOINT"))
        try:
            found = await self._services.hub.offers(repository)
        except HubError as error:
            raise _failure(error) from error
        offer = await self._offer(found, file, body.quantization)
        if await asyncio.to_thread(self._services.hub.owned, offer) is not None:
            return JSONResponse({"status": "already_downloaded"})
        job = self._services.download_jobs.start(offer, found.repository.commit)
        await job.begun.wait()
        return JSONResponse(job_answer(job))

    async def status(self, request: Request) -> Response:
        name = request.path_params["job"]
        job = self._services.download_jobs.find(name)
        if job is None:
            raise DoorError(
                404,
                f'No download "{name[:80]}" is known. Downloads are forgotten when the server ends.',
                "job_not_found",
                "job_id",
            )
        return JSONResponse(job_answer(job))

    async def all(self, _request: Request) -> Response:
        answer: dict[str, list[Any]] = {
            "downloading": [], "completed": [], "failed": [], "paused": [],
        }  # fmt: skip
        for job in self._services.download_jobs.all():
            answer[job.status].append(job_answer(job))
        return JSONResponse(answer)

    async def _offer(self, found: Offers, file: str | None, quantization: str | None) -> Offer:
        """The model to download: the one that is asked for, else one that is here, else what is
        recommended.
        """
        offers, name = found.offers, found.repository.id
        if not offers:
            raise invalid(f'"{name}" has no GGUF model that this server could run.', "model")
        if file is not None:
            offers = tuple(o for o in offers if file in {part.path for part in o.files})
            if not offers:
                raise DoorError(
                    404, f'"{name}" has no model {file[:200]}.', "model_not_found", "model"
                )
        if quantization is not None:
            wanted = quantization.strip().lower()
            offers = tuple(o for o in offers if (o.quantization or "").lower() == wanted)
            if not offers:
                known = ", ".join(o.quantization for o in found.offers if o.quantization)
                raise DoorError(
                    404,
                    f'"{name}" has no quantization "{quantization[:80]}"; it has: {known or "none"}.',
                    "model_not_found",
                    "quantization",
                )
        if file is None and quantization is None:
            for offer in offers:
                if await asyncio.to_thread(self._services.hub.owned, offer) is not None:
                    return offer
        return found.recommended if found.recommended in offers else offers[0]


def _failure(error: HubError) -> DoorError:
    failure = described(error)
    if isinstance(error, NotOnHubError):
        return replace(failure, status=404, code="model_not_found", param="model")
    if isinstance(error.__cause__, ImportError):
        return replace(failure, status=501, code="not_implemented")
    return replace(failure, status=502, code="hub_failed", retry=True)
