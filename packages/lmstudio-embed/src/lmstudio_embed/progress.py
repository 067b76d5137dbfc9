"""How far an embedding has come: a bar, or a function of the caller's."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError

__all__ = ["Reporter", "reporter"]


class Reporter:
    """Tells what is done to a function.

    Args:
        function: Called with the number of texts done and their total.
        total: How many texts there are, or ``None`` if nobody knows yet.
    """

    def __init__(self, function: Callable[[int, int | None], object], total: int | None) -> None:
        self._function = function
        self._total = total
        self._done = 0

    def advance(self) -> None:
        """One more text is done."""
        self._done += 1
        self._function(self._done, self._total)

    def close(self) -> None:
        """No more texts are to come."""


class _Bar(Reporter):
    """A tqdm bar, which knows terminals and notebooks and how often to draw."""

    def __init__(self, total: int | None) -> None:
        self._bar = _tqdm()(total=total, unit=" texts", desc="Embedding")
        super().__init__(self._bar.update, total)

    def advance(self) -> None:
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


def reporter(progress: Any, total: int | None) -> Reporter | None:
    """What ``progress`` asks for.

    Raises:
        LMStudioRuntimeError: A bar is wanted, and tqdm is not installed.
        LMStudioValueError: It is neither a bool nor a function.
    """
    if progress is None or progress is False:
        return None
    if progress is True:
        return _Bar(total)
    if callable(progress):
        return Reporter(progress, total)
    raise LMStudioValueError(
        f"progress is True or a function of (done, total), not {type(progress).__name__}."
    )


def _tqdm() -> Any:
    try:
        with warnings.catch_warnings():  # a notebook without ipywidgets gets a bar of text
            warnings.filterwarnings("ignore", message="IProgress not found")
            return importlib.import_module("tqdm.auto").tqdm
    except ImportError as error:
        raise LMStudioRuntimeError(
            "progress=True draws its bar with tqdm (the extra lmstudio-embed[progress]), which is not "
            "installed. Install it with: "
            "pip install tqdm, or pass a function of (done, total)."
        ) from error
