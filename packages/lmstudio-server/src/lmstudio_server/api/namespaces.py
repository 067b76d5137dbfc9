"""All namespaces by name.

Those that few clients use are imported with their first socket: a server has to start quickly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from . import embedding, llm, system

if TYPE_CHECKING:
    from .endpoint import Namespace

__all__ = ["NAMESPACES"]

_USUAL: Final[Mapping[str, Namespace]] = {
    namespace.name: namespace
    for namespace in (llm.namespace, embedding.namespace, system.namespace)
}
_OTHERS: Final = ("files", "repository", "plugins", "runtime", "diagnostics")
"""Modules beside this one, called as their namespace is."""
_OWN: Final = ("chats",)
"""The server's own, which are none of LM Studio's protocol and are not listed with it."""


class _Namespaces(Mapping[str, "Namespace"]):
    def __getitem__(self, name: str) -> Namespace:
        if name in (*_OTHERS, *_OWN):
            module: Any = import_module(f".{name}", __package__)
            return cast("Namespace", module.namespace)
        return _USUAL[name]

    def __contains__(self, name: object) -> bool:
        return name in _USUAL or name in _OTHERS or name in _OWN

    def __iter__(self) -> Iterator[str]:
        return iter((*_USUAL, *_OTHERS))

    def __len__(self) -> int:
        return len(_USUAL) + len(_OTHERS)


NAMESPACES: Final[Mapping[str, Namespace]] = _Namespaces()
