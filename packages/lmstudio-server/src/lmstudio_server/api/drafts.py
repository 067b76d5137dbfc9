"""Draft models: from the key in a configuration to the file, and refusing what cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_server.errors import WireError, unsupported_feature
from lmstudio_server.kv.support import refusals
from lmstudio_server.kv.values import structure_problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lmstudio_server.engines.base import Draft
    from lmstudio_server.kv.drafts import DraftWish
    from lmstudio_server.kv.stack import Config
    from lmstudio_server.library import ModelFile

    from .endpoint import Call

__all__ = ["check_settings", "find_draft"]


def check_settings(client: Config) -> None:
    """Refuse a configuration that asks for what this server does not do, or does not understand.

    Raises:
        WireError: it names the setting and the reason.
    """
    for key, why in refusals(client):
        raise unsupported_feature(f"The setting {key} ({why})", "Leave the setting out.")
    problem = structure_problem(client)
    if problem is not None:
        raise WireError(
            f"The setting llm.prediction.structured cannot be used: {problem}.",
            suggestion="Give a JSON schema as an object, or a GBNF grammar as text.",
        )


async def find_draft(
    call: Call,
    wish: DraftWish | None,
    require_model: Callable[[Call, str], Awaitable[ModelFile]],
) -> Draft | None:
    """The draft model that a configuration asks for, if it asks for one.

    Raises:
        WireError: there is no such model, or it is no LLM.
    """
    if wish is None:
        return None
    try:
        return wish.at((await require_model(call, wish.key)).file)
    except WireError as error:
        raise WireError(
            f'The draft model "{wish.key}" cannot be used: {error.title}',
            cause=error.cause,
            suggestion=error.suggestion,
            display=error.display,
        ) from error
