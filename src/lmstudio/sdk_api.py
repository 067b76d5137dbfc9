"""The errors that others build on, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_core.errors import LMStudioError as LMStudioError
    from lmstudio_core.errors import LMStudioOSError as LMStudioOSError
    from lmstudio_core.errors import LMStudioRuntimeError as LMStudioRuntimeError
    from lmstudio_core.errors import LMStudioValueError as LMStudioValueError

_HOMES: Final = {
    "LMStudioError": "lmstudio_core.errors:LMStudioError",
    "LMStudioOSError": "lmstudio_core.errors:LMStudioOSError",
    "LMStudioRuntimeError": "lmstudio_core.errors:LMStudioRuntimeError",
    "LMStudioValueError": "lmstudio_core.errors:LMStudioValueError",
    "_C": "lmstudio_core.protocol.mux:_C",
}

__all__ = [
    "LMStudioError",
    "LMStudioOSError",
    "LMStudioRuntimeError",
    "LMStudioValueError",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
