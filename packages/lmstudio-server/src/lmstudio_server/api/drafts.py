"""A client's settings: what holds of them, and which file the draft model is that they name."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from lmstudio_server.errors import WireError, unsupported_feature
from lmstudio_server.kv.support import ineffective, refusals
from lmstudio_server.kv.values import structure_problem, usable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lmstudio_server.engines.base import Draft
    from lmstudio_server.kv.drafts import DraftWish
    from lmstudio_server.kv.stack import Config
    from lmstudio_server.library import ModelFile

    from .endpoint import Call

__all__ = ["find_draft", "take_settings"]

_log = logging.getLogger(__name__)


def take_settings(client: Config) -> dict[str, Any]:
    """What holds of a client's configuration. What of it has no effect is named in the log.

    Raises:
        WireError: it asks for what this server does not do, or in a way that makes no sense.
    """
    kept, unusable = usable(client)
    for key, why in refusals(client):
        raise unsupported_feature(f"The setting {key} ({why})", "Leave the setting out.")
    problem = structure_problem(client)
    if problem is not None:
        raise WireError(
            f"The setting llm.prediction.structured cannot be used: {problem}.",
            suggestion="Give a JSON schema as an object, or a GBNF grammar as text.",
        )
    for words, keys in (
        ("no effect here", ineffective(kept)),
        ("not a value for its key, and left out", unusable),
    ):
        if keys:
            _log.debug("%s: %s", words, ", ".join(keys))
    return kept


async def find_draft(
    call: Call,
    wish: DraftWish | None,
    require_model: Callable[[Call, str], Awaitable[ModelFile]],
) -> Draft | None:
    """The draft model that a configuration asks for, if it asks for one.

    Args:
        call: The request that it is for.
        wish: Which draft model, and how it drafts; ``None`` for none.
        require_model: Finds the file of a model key.

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
