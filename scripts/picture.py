"""Draws docs/images/session.svg, the README's picture, from the session in session.txt.

    python scripts/picture.py            write it
    python scripts/picture.py --check    fail if it is not what would be written

What is typed (a line behind a "$ ") is bold. Browsers collapse runs of blanks in an SVG that is an
image, so every blank is one that does not collapse; and no line has a length that it is stretched to,
since fonts differ.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = 14
LINE = 18
WIDEST = 0.62
"""The width of a character in the widest usual monospaced font, as a share of its size."""
MARGIN = 14
BAR = 34

PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
  viewBox="0 0 {width} {height}" role="img">
<title>From a clone to an answer</title>
<style>
text{{font:{size}px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c5c8c6}}
.typed{{font-weight:bold;fill:#fff}}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#292929"/>
<circle cx="20" cy="17" r="6" fill="#ff5f57"/>
<circle cx="40" cy="17" r="6" fill="#febc2e"/>
<circle cx="60" cy="17" r="6" fill="#28c840"/>
{lines}
</svg>
"""


def picture(session: str) -> str:
    """The session as an SVG."""
    lines = session.rstrip("\n").split("\n")
    drawn = [_drawn(line, BAR + LINE * (n + 1)) for n, line in enumerate(lines) if line]
    return PICTURE.format(
        width=round(2 * MARGIN + max(map(len, lines)) * SIZE * WIDEST),
        height=BAR + LINE * len(lines) + MARGIN,
        size=SIZE,
        lines="\n".join(drawn),
    )


def _drawn(line: str, y: int) -> str:
    typed = ' class="typed"' if line.partition(") ")[2].startswith("$ ") or line[0] == "$" else ""
    return f'<text x="{MARGIN}" y="{y}"{typed}>{escape(line).replace(" ", "&#160;")}</text>'


def main(arguments: list[str]) -> int:
    """Write the picture, or compare."""
    path = IMAGES / "session.svg"
    wanted = picture((IMAGES / "session.txt").read_text("utf-8"))
    if arguments == ["--check"]:
        if path.read_text("utf-8") == wanted:
            return 0
        print(f"{path} is not up to date: python scripts/picture.py writes it.")
        return 1
    path.write_text(wanted, "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
