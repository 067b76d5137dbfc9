"""One download plan: made for a repository, changed by the client, then carried out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from lmstudio_server.errors import WireError

from . import hub_parameters as p

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from lmstudio_server.hub.offers import Offer
    from lmstudio_server.hub.service import Offers
    from lmstudio_server.library import ModelFile

    from .endpoint import Channel

__all__ = ["DownloadPlan", "chosen"]


def chosen(offers: Offers, options: p.PlanOptions | None) -> Offer | None:
    """The offer that is taken unless the client chooses: what it prefers, else what is
    recommended, else the smallest.
    """
    preferences = (options and options.resolution_preference) or []
    for preference in preferences:
        for offer in offers.offers:
            if isinstance(preference, p.PreferredFile):
                hit = preference.file_name in {file.name for file in offer.files}
            else:
                hit = (offer.quantization or "").lower() == preference.quant_name.lower()
            if hit:
                return offer
    return offers.recommended or next(iter(offers.offers), None)


class DownloadPlan:
    """Talks with one client about one model."""

    MESSAGES: ClassVar[Mapping[str, type[BaseModel] | None]] = {
        "cancelDownload": None,
        "setSelectedDownloadOptionIndex": p.SelectOption,
        "commit": None,
        "cancelPlan": None,
    }

    def __init__(self, channel: Channel, repository: str, options: p.PlanOptions | None) -> None:
        self._channel = channel
        self._service = channel.services.hub
        self._repository = repository
        self._options = options
        self._version = 0
        self._offers: Offers | None = None
        self._selected: Offer | None = None
        self._owned: dict[str, ModelFile] = {}

    async def run(self) -> None:
        """Plan, follow the client's messages, and download when it says so."""
        await self._tell("planUpdated", self._plan())
        work = asyncio.ensure_future(self._prepare())
        stop = asyncio.ensure_future(self._channel.cancelled.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return
            work.result()
        finally:
            work.cancel()
            stop.cancel()
        self._version += 1
        await self._tell("planReady", self._plan())
        while (message := await self._channel.inbox.get()).get("type") != "commit":
            if self._channel.cancelled.is_set():
                return
            await self._select(message)
        await self._commit()

    async def _prepare(self) -> None:
        formats = self._options and self._options.compatibility_types
        self._offers = offers = await self._service.offers(self._repository)
        if not offers.offers or (formats is not None and "gguf" not in formats):
            raise WireError(
                f'"{self._repository}" has no model that this server can run.',
                cause="lmstudio-server runs GGUF files.",
                suggestion="Search for a repository with GGUF files of this model.",
            )
        self._owned = await asyncio.to_thread(self._find_owned, offers)
        self._selected = chosen(offers, self._options)
        if not (self._options and self._options.resolution_preference) and self._owned:
            # One of them is here, and the client has no wish of its own.
            self._selected = next(o for o in offers.offers if o.identifier in self._owned)

    def _find_owned(self, offers: Offers) -> dict[str, ModelFile]:
        found = ((offer.identifier, self._service.owned(offer)) for offer in offers.offers)
        return {identifier: model for identifier, model in found if model is not None}

    async def _select(self, message: Mapping[str, Any]) -> None:
        offers = self._offers.offers if self._offers is not None else ()
        wish = p.SelectOption.model_validate(message)
        index = wish.selected_download_option_index
        if wish.node_index != 0:
            raise _bad_choice(f"The plan has one node, number 0, and no number {wish.node_index}.")
        if index is None:
            owned = [offer for offer in offers if offer.identifier in self._owned]
            if not owned:
                raise _bad_choice("No model of this repository is downloaded yet.")
            self._selected = owned[0]
        elif 0 <= index < len(offers):
            self._selected = offers[index]
        else:
            raise _bad_choice(f"There are {len(offers)} options, numbered from 0, and no {index}.")
        self._version = max(self._version + 1, wish.requested_plan_version)
        await self._tell("planUpdated", self._plan())

    async def _commit(self) -> None:
        offer = self._selected
        if offer is None or self._offers is None:
            raise _bad_choice("Nothing of this repository is selected.")
        key = await self._service.download(
            offer,
            self._offers.repository.commit,
            send=self._channel.send,
            cancelled=self._channel.cancelled,
        )
        if key is not None:
            await self._channel.send({"type": "success"})

    async def _tell(self, kind: str, plan: dict[str, Any]) -> None:
        await self._channel.send({"type": kind, "plan": plan})

    def _plan(self) -> dict[str, Any]:
        offer = self._selected
        node: dict[str, Any] = {
            "type": "model",
            "state": "fetching",
            "dependencyLabel": self._repository,
            "totalSources": 1,
            "resolvedSources": 0 if self._offers is None else 1,
        }
        size, action = 0, "none"
        if self._offers is not None and offer is not None:
            owned = self._owned.get(offer.identifier)
            node |= self._choices(self._offers, offer)
            if owned is not None:
                node["state"] = "satisfied"
            else:
                node["state"] = "completed"
                size = offer.size_bytes
                running = self._service.downloads.is_running(offer, self._service.folder)
                action = "attachToExistingDownload" if running else "startNewDownload"
        return {
            "nodes": [node],
            "downloadSizeBytes": size,
            "downloadAction": action,
            "version": self._version,
        }

    def _choices(self, found: Offers, offer: Offer) -> dict[str, Any]:
        """The part of a node that is about its options."""
        offers = found.offers
        index = offers.index(offer)
        owned = next(
            (self._owned[o.identifier] for o in offers if o.identifier in self._owned), None
        )
        choices: dict[str, Any] = {
            "downloadOptions": [self._option(found, each) for each in offers],
            "selectedDownloadOptionIndex": None if offer.identifier in self._owned else index,
            "recommendedDownloadOptionIndex": None
            if found.recommended is None
            else offers.index(found.recommended),
            "selected": _described(offer),
        }
        if owned is not None:
            choices["alreadyOwned"] = {
                "displayName": owned.display_name,
                "sizeBytes": owned.size_bytes,
                "compatibilityType": "gguf",
                "modelKey": owned.key,
                **({"quantName": owned.quantization_name} if owned.quantization_name else {}),
            }
        return choices

    def _option(self, found: Offers, offer: Offer) -> dict[str, Any]:
        if offer.identifier in self._owned:
            availability = "downloaded"
        elif self._service.downloads.is_running(offer, self._service.folder):
            availability = "downloading"
        else:
            availability = "notDownloaded"
        return {
            **_described(offer),
            "fitEstimation": found.hardware.fit(offer.size_bytes),
            "availability": availability,
            "recommended": offer == found.recommended,
        }


def _described(offer: Offer) -> dict[str, Any]:
    described: dict[str, Any] = {
        "displayName": offer.name,
        "sizeBytes": offer.size_bytes,
        "compatibilityType": "gguf",
    }
    if offer.quantization:
        described["quantName"] = offer.quantization
    return described


def _bad_choice(cause: str) -> WireError:
    return WireError(
        "This choice does not fit the download plan.",
        cause=cause,
        suggestion="Choose one of the plan's downloadOptions.",
    )
