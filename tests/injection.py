"""A trace function that stands for a signal: it calls a handler at chosen steps of some code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from typing_extensions import Self


class Steps:
    """Calls ``handler`` in the middle of what this thread does inside some modules.

    Args:
        handler: What a signal handler would do.
        folders: Where these modules are.
        at: The step at which it is called; ``None`` for all, each place in the code once.
        opcodes: Steps are bytecodes; else lines.
    """

    def __init__(
        self,
        handler: Callable[[], Any],
        folders: tuple[str, ...],
        at: int | None = None,
        *,
        opcodes: bool = False,
    ) -> None:
        self.count = self.calls = 0
        self._handler = handler
        self._folders = folders
        self._at = at
        self._opcodes = opcodes
        self._inside = False
        self._places: set[tuple[Any, int]] = set()

    def __enter__(self) -> Self:
        # Python 3.12 reports bytecodes only if a frame has asked for them before.
        sys._getframe().f_trace_opcodes = self._opcodes
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: Any, event: str, arg: Any) -> Any:
        if self._inside or not frame.f_code.co_filename.startswith(self._folders):
            return None
        frame.f_trace_opcodes = self._opcodes
        frame.f_trace_lines = not self._opcodes
        return self._step

    def _step(self, frame: Any, event: str, arg: Any) -> Any:
        if event in ("line", "opcode") and not self._inside:
            self.count += 1
            place = (frame.f_code, frame.f_lasti)
            if self.count == self._at or (self._at is None and place not in self._places):
                self._places.add(place)
                self.calls += 1
                self._inside = True
                try:
                    self._handler()
                finally:
                    self._inside = False
        return self._step
