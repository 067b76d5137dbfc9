"""``Client`` and ``AsyncClient``: everything a program does with a server starts here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .sync import Client

__all__ = ["AsyncClient", "Client"]

# A synchronous program does not pay for asyncio.

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {"AsyncClient": f"{__name__}.aio:AsyncClient", "Client": f"{__name__}.sync:Client"},
    )
