"""Which downloaded model a key means: the one, the candidates, or what is much like it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..errors import LMStudioAmbiguousModelError, LMStudioModelNotFoundError
from .infos import ModelInfoBase

__all__ = ["close_matches", "find_model"]

_SHOWN: Final = 10


def close_matches(key: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known keys most like ``key``: those that contain it first, then those spelled alike."""
    by_lower = {k.lower(): k for k in known}
    wanted = key.lower()
    found = [k for k in by_lower if wanted and wanted in k]
    found += difflib.get_close_matches(wanted, by_lower, n=most, cutoff=0.6)
    by_name = {_name(k): k for k in by_lower}  # "qwen3-4b" is not much like "qwen/qwen3-4b-2507"
    alike = difflib.get_close_matches(_name(wanted), by_name, n=most, cutoff=0.6)
    found += [by_name[name] for name in alike]
    return [by_lower[k] for k in dict.fromkeys(found)][:most]


def find_model(key: str, infos: Sequence[ModelInfoBase]) -> ModelInfoBase:
    """The downloaded model that ``key`` means.

    That is the one with this key or path, else the only one with this name, whoever published it
    and however it is quantized, or in this folder of a publisher; in upper or lower case.

    Raises:
        LMStudioAmbiguousModelError: Several models are meant; the message lists their keys.
        LMStudioModelNotFoundError: None is; the message lists what is much like it.
    """
    wanted = key.lower()
    ways: tuple[Callable[[ModelInfoBase], bool], ...] = (
        lambda info: info.model_key == key,
        lambda info: key in (info.path, info.indexed_model_identifier),
        lambda info: info.model_key.lower() == wanted,
        lambda info: _name(info.model_key.lower()) == wanted,
        lambda info: _name(info.model_key.lower()).partition("@")[0] == wanted,
        lambda info: "/" in wanted and info.path.lower().startswith(f"{wanted}/"),
    )
    for fits in ways:
        found = {info.model_key: info for info in infos if fits(info)}
        if len(found) > 1:
            raise _ambiguous(key, list(found))
        if found:
            return next(iter(found.values()))
    raise _not_found(key, [info.model_key for info in infos])


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _ambiguous(key: str, candidates: Sequence[str]) -> LMStudioAmbiguousModelError:
    error = LMStudioAmbiguousModelError(
        f"Several downloaded models match {key!r}: {', '.join(candidates)}. Use one of these keys."
    )
    error.close_matches = tuple(candidates)
    return error


def _not_found(key: str, known: Sequence[str]) -> LMStudioModelNotFoundError:
    like = close_matches(key, known)
    if like:
        hint = f"Did you mean {' or '.join(like)}?"
    elif known:
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        hint = f"Downloaded are: {', '.join(known[:_SHOWN])}{more}."
    else:
        hint = "No model is downloaded yet."
    if not like:
        hint += f" To download it: `lmstudio get {key}`."
    error = LMStudioModelNotFoundError(f"No downloaded model has the key {key!r}. {hint}")
    error.close_matches = tuple(like)
    return error
