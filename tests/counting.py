"""Costs without a clock: how many of the family's functions are called for something."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["calls_of"]


def calls_of(work: Callable[[], Any], *packages: str) -> int:
    """How often functions of these packages are called in this thread while ``work`` runs.

    Going on with a generator or a coroutine counts as a call. Comprehensions do not: since Python
    3.12 they are none.
    """
    folders = [Path(str(import_module(package).__file__)).parent for package in packages]
    ours = tuple(f"{folder}{os.sep}" for folder in folders)
    count = 0

    def note(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(ours) and code.co_name[0] != "<":
            count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
