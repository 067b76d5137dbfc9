"""The installed engines, and which of them loads what.

Engines come through the entry-point group ``lmstudio.engines``, llama.cpp's like any other. One that
is broken is named in the log and left out; the others work.
"""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from lmstudio_core.lenient import error_text

from .base import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from lmstudio_server.library import ModelFile

    from .base import Engine, LoadedModel, LoadRequest

__all__ = ["Engines", "installed_engines"]

_NEEDED = ("name", "version", "formats", "offered", "load")


class Engines:
    """Several engines as one: a request goes to the one it names, or to the first for its format.

    Args:
        engines: The engines; of two with one name the first counts.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        by_name: dict[str, Engine] = {}
        for engine in engines:
            by_name.setdefault(engine.name, engine)
        self.engines: Sequence[Engine] = tuple(by_name.values())

    @property
    def name(self) -> str:
        """The names of all engines."""
        return ", ".join(engine.name for engine in self.engines) or "none"

    @property
    def version(self) -> str:
        """Their versions, in the same order."""
        return ", ".join(engine.version for engine in self.engines) or "-"

    @property
    def formats(self) -> frozenset[str]:
        """All formats that one of them loads."""
        return frozenset[str]().union(*(engine.formats for engine in self.engines))

    def offered(self) -> Sequence[ModelFile]:
        """The models of all engines that are no files."""
        with _contained():
            return [model for engine in self.engines for model in engine.offered()]

    async def load(self, request: LoadRequest, on_progress: Callable[[float], None]) -> LoadedModel:
        """Load a model with the engine for it.

        Raises:
            EngineError: No installed engine is for it, or the engine cannot load it.
        """
        with _contained():
            return await self._engine_for(request).load(request, on_progress)

    def _engine_for(self, request: LoadRequest) -> Engine:
        for engine in self.engines:
            if request.engine == engine.name:
                return engine
            if request.engine is None and request.format in engine.formats:
                return engine
        wanted = request.engine or f"one that loads {request.format} files"
        raise EngineError(
            f"No engine for {request.model or request.path.name}",
            cause=f"It needs {wanted}; installed and working: {self.name}.",
            suggestion="`lmstudio plugins` says which engines are broken or turned off.",
        )


@contextmanager
def _contained() -> Generator[None, None, None]:
    """An engine's failure that is no ``Exception``, such as its extension's panic, becomes one."""
    try:
        yield
    except (Exception, CancelledError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise EngineError("The engine failed", cause=error_text(error, named=True)) from error


def installed_engines() -> Engines:
    """The engines of all installed packages, llama.cpp first.

    Raises:
        PluginLoadError: ``LMSTUDIO_STRICT_PLUGINS`` is set, and one is broken.
    """
    from lmstudio_core.plugins.hookspecs import ENGINE_GROUP
    from lmstudio_core.plugins.registry import plugins

    found: list[Engine] = plugins.load_each(ENGINE_GROUP, _made)
    # Entry points have no order of their own.
    return Engines(sorted(found, key=lambda engine: (engine.name != "llama.cpp", engine.name)))


def _made(_name: str, factory: Any) -> Engine:
    engine: Any = factory()
    missing = [attribute for attribute in _NEEDED if not hasattr(engine, attribute)]
    if missing:
        raise TypeError(f"what it makes is no engine: it has no {', '.join(missing)}")
    return cast("Engine", engine)
