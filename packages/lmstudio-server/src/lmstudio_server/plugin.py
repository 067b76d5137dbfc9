"""What this package adds to the family: the embedded server, its commands, models to get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click

    from lmstudio_core.plugins.health import Finding

__all__ = [
    "lmstudio_check_health",
    "lmstudio_find_server",
    "lmstudio_offer_models",
]


@hookimpl(trylast=True)  # what another plugin finds needs no starting
def lmstudio_find_server() -> str | None:
    """Find or start the on-demand server, unless ``LMSTUDIO_EMBEDDED=0``."""
    from lmstudio_core.errors import FrozenProgramError

    from .embedded import ensure_running, is_enabled

    try:
        return ensure_running() if is_enabled() else None
    except FrozenProgramError:
        return None  # the search says so, beside all else that it tried


@hookimpl
def lmstudio_offer_models() -> Mapping[str, click.Command]:
    """Offer the models that can be fetched without LM Studio to ``lmstudio get``."""
    from .fetch.command import get
    from .fetch.recipes import RECIPES

    return {recipe.key: get for recipe in RECIPES}


@hookimpl
def lmstudio_check_health() -> Iterable[Finding]:
    """Look at the engine, the folders and the server itself, for ``lmstudio doctor``."""
    from .health import findings

    return list(findings())
