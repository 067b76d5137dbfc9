"""Names of the plugin API that will not stay, and how it says so."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..lazy import lazy_names

__all__ = ["DEPRECATED", "Deprecation", "api_names"]


@dataclass(frozen=True)
class Deprecation:
    """A name that is still here, and will not stay.

    Attributes:
        since: The API version that deprecated it.
        gone_in: The API version that drops it: at least two later, so that there is a version for
            which a plugin can be written without it.
        instead: What to use.
    """

    since: int
    gone_in: int
    instead: str


DEPRECATED: Final[dict[str, Deprecation]] = {}
"""The names of the plugin API that warn when they are imported."""


def api_names(
    module: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for the plugin API; see ``lazy_names``."""
    load, names = lazy_names(module, homes)

    def get(name: str) -> Any:
        value = load(name)
        if (old := DEPRECATED.get(name)) is not None:
            vars(sys.modules[module]).pop(name, None)  # whoever imports it next is told as well
            warnings.warn(
                f"{module}.{name} is deprecated since plugin API {old.since} and goes "
                f"with {old.gone_in}. Use {old.instead}.",
                DeprecationWarning,
                stacklevel=2,
            )
        return value

    return get, names
