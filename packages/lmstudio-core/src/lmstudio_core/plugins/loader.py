"""Plugins of any kind: which there are, and loading one without harm to the others."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import PluginLoadError
from ..lenient import error_text, is_interrupt
from ..timeouts import PluginLock
from . import installed
from .capability import API_VERSION, CAPABILITY_GROUP
from .hookspecs import COMMAND_GROUP, ENGINE_GROUP
from .installed import Unreadable
from .state import Kind, Record, turned_off, unknown_names

if TYPE_CHECKING:
    from .installed import EntryPoint

__all__ = ["SLOW_IMPORT", "PluginLoader"]

logger: Final = logging.getLogger("lmstudio")

_T = TypeVar("_T")

SLOW_IMPORT: Final = 1.0
"""Seconds from which on importing a plugin is reported as slow."""


class PluginLoader:
    """The installed plugins of every kind, as records of what became of each.

    Args:
        entry_points: Entry points to use instead of the installed ones.
        environment: Environment variables to heed.
    """

    def __init__(
        self,
        entry_points: Iterable[EntryPoint] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._given = None if entry_points is None else list(entry_points)
        self._environment = os.environ if environment is None else environment
        self._lock = PluginLock(lambda: self.busy)
        self._records: list[Record] | None = None
        self._unreadable: list[Unreadable] = []
        self.busy: str | None = None
        """Whose code runs now, for whoever waits for it in another thread."""
        self._examining = False
        self._strict = self._environment.get("LMSTUDIO_STRICT_PLUGINS", "") not in ("", "0")

    def _of_group(self, group: str) -> list[Record]:
        """The entry points of a group, turned off or not; read once for all groups."""
        with self._lock:
            if self._records is None:
                found = self._given
                if found is None:
                    found, self._unreadable = installed.entry_points()
                self._records = [self._record(entry) for entry in installed.unique(found)]
                for name in unknown_names(self._environment, found):
                    text = (
                        "LMSTUDIO_DISABLE_PLUGINS names %r, and no installed plugin has that name"
                    )
                    logger.warning(text, name)
            return [record for record in self._records if record.entry.group == group]

    def _record(self, entry: EntryPoint) -> Record:
        kinds: dict[str, Kind] = {
            CAPABILITY_GROUP: "capability",
            COMMAND_GROUP: "command",
            ENGINE_GROUP: "engine",
        }
        record = Record(entry, kinds.get(entry.group, "hooks"))
        if turned_off(self._environment, entry):
            record.note("disabled", "")
        return record

    def _load(self, record: Record) -> Any:
        entry = record.entry
        started = time.perf_counter()
        before, self.busy = self.busy, f"the import of {record.label}"
        try:
            return entry.load()
        except BaseException as error:
            if is_interrupt(error):
                raise
            what = f"could not be loaded: {error_text(error, named=True)}"
            if isinstance(error, ImportError) and error.name == f"{__package__}.api":
                what += f". This lmstudio-core has plugin API {API_VERSION}"
            raise self._error(record, what) from error
        finally:
            self.busy = before
            record.seconds += time.perf_counter() - started
            if record.seconds >= SLOW_IMPORT:
                record.note("slow", f"Importing it took {record.seconds:.1f} s.")

    @staticmethod
    def _error(record: Record, what: str) -> PluginLoadError:
        return PluginLoadError(
            f"The plugin {record.entry.name!r} of {record.where} {what}",
            plugin=record.entry.name,
            distribution=installed.distribution_of(record.entry),
        )

    def _skip(self, record: Record, error: BaseException) -> None:
        """A plugin cannot be used: raise if plugins are strict, else note and log it.

        An interrupt of the user's is raised in any case.
        """
        if is_interrupt(error):
            raise error
        unusable = error
        if not isinstance(error, PluginLoadError):
            unusable = self._error(record, f"could not be used: {error_text(error)}")
        detail = self._detail(record, unusable)
        record.error = error
        record.note("failed", detail)
        if self._strict:
            raise unusable from (None if unusable is error else error)
        self._log("skipped the plugin %r of %s: %s", record.entry.name, record.where, detail)

    def _detail(self, record: Record, error: BaseException) -> str:
        """What is wrong, for where the plugin is named already."""
        whole, name = error_text(error), str(self._error(record, ""))
        said = whole.removeprefix(name)
        return whole if said == whole else said[:1].upper() + said[1:]  # names stay as they are

    def _log(self, message: str, *arguments: Any, exc_info: bool = False) -> None:
        """What is examined is reported by whoever examines it."""
        level = logging.DEBUG if self._examining else logging.WARNING
        logger.log(level, message, *arguments, exc_info=exc_info)

    def load_each(self, group: str, use: Callable[[str, Any], _T]) -> list[_T]:
        """Load every plugin of an entry-point group, and return what ``use`` makes of each.

        One that cannot be loaded, or of which ``use`` can make nothing, is reported and skipped,
        unless plugins are strict.

        Args:
            group: The entry points' group.
            use: Called with an entry's name and its object.

        Raises:
            PluginLoadError: Plugins are strict, and one is broken.
        """
        made: list[_T] = []
        for record in self._of_group(group):
            if record.state == "disabled":
                continue
            try:
                made.append(use(record.entry.name, self._load(record)))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the plugin's
                self._skip(record, error)
        return made

    @contextlib.contextmanager
    def _reporting(self) -> Generator[None, None, None]:
        """Meanwhile what is wrong is noted, and neither raised nor logged."""
        with self._lock:
            strict, self._strict, self._examining = self._strict, False, True
            try:
                yield
            finally:
                self._strict, self._examining = strict, False
