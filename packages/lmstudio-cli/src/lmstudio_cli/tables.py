"""Tables of the commands: for people on a terminal, and plain in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

from lmstudio_core.lenient import readable
from lmstudio_core.program.terminal import may_draw, one_line


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:  # public
    """Aligned columns; columns in which nothing stands are left out.

    On a terminal that is too narrow so are the widest ones, and cells are cut; in a pipe nothing is.
    """
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    on_terminal = may_draw(sys.stdout)
    show = _show_on_terminal if used and on_terminal else _show_plain
    show([[one_line(readable(line[i])) for i in used] for line in (header, *rows)])


def _show_plain(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _show_on_terminal(lines: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False)
    header, *rows = lines
    widths = {i: max(cell_len(line[i]) for line in lines) for i in range(len(header))}
    _fit(widths, console.width)
    table = Table(box=None, pad_edge=False)
    for i, width in widths.items():
        table.add_column(header[i], width=width, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(row[i] for i in widths))
    with console.capture() as drawn:
        console.print(table)
    click.echo(drawn.get(), nl=False)  # which knows what to do where the locale is ASCII


_NARROWEST: Final = 8
"""Narrower, sizes and states could not be read."""


def _fit(widths: dict[int, int], columns: int) -> None:
    """Make columns narrower, and leave some out, until the line fits.

    The first one last, since people copy names from it.
    """

    def too_much(at_most: int) -> int:
        rest = sum(min(widths[i], at_most) for i in others)
        return min(widths[first], columns // 2) + rest + 2 * len(others) - columns

    first, *others = widths
    while len(others) > 1 and too_much(_NARROWEST) > 0:
        widest = max(others, key=widths.__getitem__)
        others.remove(widest)
        del widths[widest]
    excess = sum(widths.values()) + 2 * len(others) - columns
    for group in (others, [first]):
        while excess > 0 and group:
            widest = max(group, key=widths.__getitem__)
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
            excess -= 1
