"""The documentation's pages, and the code blocks in them.

As a program (``python doc_pages.py PAGE``) it runs one page's Python blocks in order, in one fresh
namespace, as a reader would who pastes one after the other; ``await`` works as in
``python -m asyncio``. A block below ``<!-- no-run: reason -->`` is left out. One that begins with
```` ```python file=src/package/module.py ```` is written to that file, for later blocks to import.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:^<!-- no-run:(?P<reason>.*?)-->\s*?\n)?"
    r"^(?P<indent> *)```python(?: file=(?P<file>\S+))?[^\n]*\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A Python block of a page."""

    line: int
    """Where its code begins."""
    code: str
    reason: str | None
    """Why it is not run; ``None``: it is."""
    file: str | None = None
    """Where it is to be written instead of run."""


def pages() -> list[Path]:
    """Every page a newcomer may copy code from."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for pattern in ("docs/**/*.md", "packages/*/README.md", "benchmarks/README.md"):
        found += sorted(ROOT.glob(pattern))
    return found


def blocks(page: Path) -> list[Block]:
    """The Python blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        indent = len(match["indent"])
        code = "".join(part[indent:] or "\n" for part in match["code"].splitlines(keepends=True))
        reason = match["reason"]
        found.append(Block(line, code, reason and reason.strip(), match["file"]))
    return found


def run(page: Path) -> None:
    """Run the blocks of a page; tracebacks name the page and its lines."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    loop = asyncio.new_event_loop()
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.file is not None:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.code, encoding="utf-8")
            sys.path[:0] = [] if "src" in sys.path else ["src"]
            continue
        source = "\n" * (block.line - 1) + block.code
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, str(page), "exec", flags=flags, dont_inherit=True)
        result = eval(code, namespace)
        # Blocks without an await run outside of any event loop, as they would at a prompt.
        if inspect.isawaitable(result):
            loop.run_until_complete(result)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
