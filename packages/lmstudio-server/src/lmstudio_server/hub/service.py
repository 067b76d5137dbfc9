"""What the ``repository`` endpoints need of the hub, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmstudio_server.hardware import Hardware, Surveys

from .downloads import Downloads
from .errors import HubError, no_such_offer, not_installed
from .offers import Offer, Repository, offers_of, recommended

if TYPE_CHECKING:
    from lmstudio_server.library import ModelFile
    from lmstudio_server.services import ModelLibrary

    from .remote import Hub

__all__ = ["HubService", "Offers"]

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Offers:
    """A repository's models, and what is known of them here."""

    repository: Repository
    offers: tuple[Offer, ...]
    recommended: Offer | None
    hardware: Hardware

    def find(self, identifier: str) -> Offer:
        """The offer with that identifier.

        Raises:
            HubError: There is none.
        """
        for offer in self.offers:
            if offer.identifier == identifier:
                return offer
        raise no_such_offer(identifier, [offer.identifier for offer in self.offers])


class HubService:
    """Searches, offers and downloads of one server.

    Args:
        folder: Where downloads go.
        library: Lists them afterwards.
        surveys: Tell what fits.
    """

    def __init__(self, folder: Path, library: ModelLibrary, surveys: Surveys) -> None:
        self.folder = folder
        self.downloads: Downloads = Downloads()
        self._library = library
        self._surveys = surveys

    async def hub(self) -> Hub:
        """The hub that the environment names.

        Raises:
            HubError: The packages for it are not installed.
        """
        return await asyncio.to_thread(_open_hub)

    async def search(self, term: str, limit: int) -> list[str]:
        """Return repositories that match; the one called exactly that comes first."""
        hub = await self.hub()
        term = term.strip().removeprefix(f"{hub.endpoint}/").strip("/")
        found = await hub.search(term, limit)
        exact = [name for name in found if name.lower() == term.lower()]
        if not exact and term.count("/") == 1:
            # A search finds neither private repositories nor those that were not tagged as GGUF.
            try:
                repository = await hub.repository(term)
            except HubError:
                if not found:
                    raise
            else:
                exact = [repository.id] if offers_of(repository) else []
        return [*exact, *(name for name in found if name not in exact)][:limit]

    async def offers(self, repository: str) -> Offers:
        """Return what a repository has for this machine.

        Raises:
            HubError: There is no such repository, or the hub cannot be reached.
        """
        hub = await self.hub()
        hardware = asyncio.ensure_future(self._surveys.hardware())
        try:
            found = await hub.repository(repository)
            offers = tuple(offers_of(found))
            seen = await hardware
        finally:
            hardware.cancel()
        fitting = [offer for offer in offers if seen.fit(offer.size_bytes) != "willNotFit"]
        return Offers(found, offers, recommended(offers, fitting), seen)

    def owned(self, offer: Offer) -> ModelFile | None:
        """The model of an offer, if it is here whole. Reads the disk."""
        model = self._library.find(offer.model_path)
        if model is None or model.problem is not None:
            return None
        return model if model.path.lower() == offer.model_path.lower() else None

    async def download(
        self, offer: Offer, commit: str, *, send: Send, cancelled: asyncio.Event
    ) -> str | None:
        """Download an offer and return the key of its model; ``None`` if ``cancelled`` was set.

        Args:
            offer: Which files.
            commit: Of which version of the repository.
            send: Called with the progress.
            cancelled: Set when the client gives up.

        Raises:
            HubError: The download failed, or what was downloaded cannot be used.
        """
        done = await self.downloads.run(
            await self.hub(), offer, commit, self.folder, send=send, cancelled=cancelled
        )
        if not done:
            return None
        model = await asyncio.to_thread(self._library.find, offer.model_path)
        if model is None:
            raise HubError(
                f"{offer.name} was downloaded, but it is no model.",
                cause=f"{self.folder / offer.model_path} is an adapter or another part of a model.",
                suggestion="Download the model that it belongs to.",
            )
        if model.problem is not None:
            raise HubError(
                f"{offer.name} was downloaded, but it cannot be used.",
                cause=f"{model.file}: {model.problem}",
                suggestion="Choose another quantization or another repository.",
            )
        return model.key


def _open_hub() -> Hub:
    try:
        from .remote import Hub
    except ImportError as error:
        raise not_installed(error) from error
    return Hub()
