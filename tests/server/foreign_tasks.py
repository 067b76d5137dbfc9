"""Tasks that run wild, for ``test_foreign_workers``."""

from __future__ import annotations

import os
import threading
from typing import Any


def perform(task: dict[str, Any], progress: Any) -> Any:
    """Do what ``task["what"]`` says."""
    what = task["what"]
    if what == "environment":
        return dict(os.environ)
    if what == "pid":
        print("what a library prints is no answer")
        progress(0.5)
        return os.getpid()
    if what == "sleep":
        threading.Event().wait()
    if what == "end":
        os._exit(3)
    if what == "memory":
        return len(bytearray(task["bytes"]))
    if what == "much":
        return "x" * task["bytes"]
    raise ValueError(what * task.get("times", 1))
