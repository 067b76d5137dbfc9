"""A server without a terminal: its log goes to a file of bounded size."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmstudio_server.logs import LineFormatter
from lmstudio_server.owned import open_own
from lmstudio_server.serving.server import ListenError, RunningServer

from .leftovers import clear_leftovers
from .paths import state_dir
from .run import config_of, run
from .spawn import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import TextIOWrapper

__all__ = ["LOG_FORMAT", "run_in_background"]

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
_LOG_BYTES = 1024 * 1024


def run_in_background(given: Mapping[str, Any], report: Callable[[dict[str, object]], None]) -> int:
    """Serve as ``given`` says, and ``report`` once the port is open."""
    settings = Settings(**given)
    clear_leftovers()
    log_file = state_dir() / f"{settings.log_name}.log"
    _log_to(log_file, settings.log_level)
    config = config_of(settings, is_daemon=True)

    def on_ready(running: RunningServer) -> None:
        logging.getLogger(__name__).info("listening at %s (pid %d)", running.host, os.getpid())
        report({"pid": os.getpid(), "host": running.host, "port": running.port})
        _detach_standard_streams()

    try:
        return run(config, kind=settings.kind, on_ready=on_ready, log_file=log_file)
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception:
        logging.getLogger(__name__).exception("the server failed")
        raise


class _OwnFile(logging.handlers.RotatingFileHandler):
    """A log that nobody else can read, and that is written to no place that a link leads to."""

    def _open(self) -> TextIOWrapper[Any]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return open(open_own(Path(self.baseFilename), flags), "a", encoding="utf-8")  # noqa: PTH123 - a descriptor


def _log_to(path: Path, level: str) -> None:
    handler = _OwnFile(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(LineFormatter(LOG_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)


def _detach_standard_streams() -> None:
    """Let go of the starter's pipes: a program that reads to their end must not wait for us."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
