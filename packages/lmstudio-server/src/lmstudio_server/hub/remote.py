"""Asking the hub: Hugging Face, or the server that ``HF_ENDPOINT`` names.

Addresses, tokens and errors are ``huggingface_hub``'s; this module is imported when the hub
is first asked, since that package takes a quarter of a second. Its asynchronous session is used, so
that a request can be cancelled at any moment; its download functions keep nothing of a download that
was interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
from huggingface_hub import (
    constants,
    get_async_session,
    get_token,
    hf_hub_url,
    hf_raise_for_status,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lmstudio_core.lenient import error_text
from lmstudio_server._version import __version__
from lmstudio_server.logs import hush_http_client

from .answers import InterruptedTransferError, asked_to_wait, begins_at, checked, is_busy
from .errors import HubError, NotOnHubError, unreachable
from .offers import RemoteFile, Repository

__all__ = ["Hub"]

hush_http_client()

_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
_NAME = re.compile(r"\w(?!.*\.\.)[\w.-]*/\w[\w.-]*", re.ASCII)
_RANGE_NOT_SATISFIABLE = 416
_PATIENCE = 30.0
"""How many seconds a search or a look at a repository waits where the hub asks for it."""
_pause = asyncio.sleep
_log = logging.getLogger(__name__)


class Hub:
    """One hub, as the environment names it at the moment."""

    def __init__(self) -> None:
        self.endpoint: str = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")

    async def search(self, term: str, limit: int) -> list[str]:
        """Return the repositories with GGUF files that match, the most downloaded first."""
        parameters: dict[str, Any] = {"filter": "gguf", "sort": "downloads", "limit": limit}
        if term:
            # An address holds no halves of surrogate pairs.
            parameters["search"] = term.encode("utf-8", "replace").decode()
        found = await self._get("/api/models", parameters, term)
        with _unreadable(self.endpoint):
            return [str(item["id"]) for item in found[:limit]]

    async def repository(self, name: str) -> Repository:
        """Return a repository's files as they are now.

        Raises:
            HubError: There is none of that name, or this server may not see it.
        """
        _check_name(name)
        found = await self._get(f"/api/models/{name}", {"blobs": True}, name)
        with _unreadable(self.endpoint):
            files = tuple(_file(item) for item in found.get("siblings") or ())
            # Folders are named after it, so a hub may not call itself anything.
            _check_name(str(found["id"]))
            return Repository(str(found["id"]), str(found.get("sha") or "main"), files)

    @asynccontextmanager
    async def content(
        self, repository: str, commit: str, file: RemoteFile, offset: int
    ) -> AsyncGenerator[tuple[int, AsyncGenerator[bytes, None]], None]:
        """Open a file at ``offset``; gives where it really starts, and the blocks.

        Args:
            repository: The repository.
            commit: Its version.
            file: The file in it.
            offset: The byte to begin at.

        Raises:
            InterruptedTransferError: The connection broke, now or later between two blocks.
            HubError: The hub refuses.
        """
        url = hf_hub_url(repository, file.path, revision=commit, endpoint=self.endpoint)
        # Compressed on the way, an offset would mean something else.
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._refusals(repository), _interruptions():
            session = get_async_session()
            async with (
                session,
                session.stream("GET", url, headers=headers, timeout=_TIMEOUT) as response,
            ):
                if is_busy(response):
                    raise InterruptedTransferError(
                        f"The hub answers {response.status_code}.", wait=asked_to_wait(response)
                    )
                if response.status_code != _RANGE_NOT_SATISFIABLE:
                    await _raise_refusal(response)
                start = begins_at(response, file, offset)
                yield start, await checked(response, file, start)

    async def _get(self, path: str, parameters: dict[str, Any], what: str) -> Any:
        with self._refusals(what):
            try:
                session = get_async_session()
                async with session:
                    for is_last in (False, True):
                        response = await session.get(
                            f"{self.endpoint}{path}",
                            params=parameters,
                            headers=self._headers(),
                            timeout=_TIMEOUT,
                        )
                        wait = asked_to_wait(response) if is_busy(response) else None
                        if is_last or wait is None or wait > _PATIENCE:
                            break
                        _log.warning(
                            "the hub answers %d; asking again in %g s", response.status_code, wait
                        )
                        await _pause(wait)
                    hf_raise_for_status(response)
                    with _unreadable(self.endpoint):
                        return response.json()
            except (httpx2.RequestError, httpx2.InvalidURL) as error:
                raise unreachable(self.endpoint, error_text(error)) from error

    def _headers(self) -> dict[str, str]:
        # Not the package's own: to make them it asks the hub for a list, and waits for it.
        headers = {"User-Agent": f"lmstudio-server/{__version__}"}
        if not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and (token := get_token()):
            headers["Authorization"] = f"Bearer {token}"
        return headers

    @contextmanager
    def _refusals(self, what: str) -> Generator[None, None, None]:
        try:
            yield
        except OfflineModeIsEnabled as error:
            raise HubError(
                f"{self.endpoint} is not asked.",
                cause="HF_HUB_OFFLINE is set where the server runs.",
                suggestion="Start the server without it, or use the models that are here already.",
            ) from error
        except (HfHubHTTPError, EntryNotFoundError) as error:
            raise self._refusal(what, error) from error

    def _refusal(self, what: str, error: Exception) -> HubError:
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 404
        if isinstance(error, GatedRepoError):
            return HubError(
                f'"{what}" may only be downloaded by people who accepted its terms.',
                cause=f"The hub answers {status}.",
                suggestion=f"Accept them at {self.endpoint}/{what} and start the server with the "
                "HF_TOKEN of that account.",
            )
        if isinstance(error, RepositoryNotFoundError):
            return NotOnHubError(
                f'{self.endpoint} has no repository "{what}".',
                cause="There is none of that name, or it is private.",
                suggestion="Search for its name; for a private one, start the server with an "
                "HF_TOKEN that may read it.",
            )
        if isinstance(error, (EntryNotFoundError, RevisionNotFoundError)):
            return HubError(
                f'A file of "{what}" is not on the hub any more.',
                cause="The repository was changed meanwhile.",
                suggestion="Ask for the download options again.",
            )
        words = getattr(error, "server_message", None)
        wait = asked_to_wait(error.response) if isinstance(error, HfHubHTTPError) else None
        later = "some minutes" if wait is None else f"{wait:.0f} seconds"
        return HubError(
            f"{self.endpoint} answers {status}.",
            cause=str(words) if words else f'It was asked about "{what}".',
            suggestion=f"Try again in {later}."
            if status == 429 or status >= 500
            else "Check HF_TOKEN and HF_ENDPOINT where the server runs.",
        )


@contextmanager
def _unreadable(endpoint: str) -> Generator[None, None, None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise unreachable(endpoint, "What answers there is no hub.") from error


def _file(sibling: dict[str, Any]) -> RemoteFile:
    stored: dict[str, Any] = sibling.get("lfs") or {}
    return RemoteFile(
        path=str(sibling["rfilename"]),
        size_bytes=int(sibling.get("size") or stored.get("size") or 0),
        sha256=_digest(stored.get("sha256"), 64),
        blob_id=_digest(sibling.get("blobId"), 40),
    )


def _digest(value: object, digits: int) -> str | None:
    """A digest, which becomes a part of a file's name, if it is one."""
    found = re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) if isinstance(value, str) else None
    return found and found.group()


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise NotOnHubError(
            f'"{name}" is no repository of the hub.',
            cause="A repository is named owner/name.",
            suggestion="Use an identifier that a search has found.",
        )


async def _raise_refusal(response: httpx2.Response) -> None:
    if response.status_code >= 400:
        await response.aread()
    hf_raise_for_status(response)


@contextmanager
def _interruptions() -> Generator[None, None, None]:
    try:
        yield
    except httpx2.RequestError as error:
        raise InterruptedTransferError(error_text(error)) from error
