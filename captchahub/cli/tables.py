"""Tables on stdout in one style: fitted to a terminal, and without a limit of width elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

__all__ = ["GAP", "fitted", "new_console", "new_table", "shortened"]

_UNLIMITED = 100_000

GAP = 2
"""How far the columns of a table are apart, in columns of the terminal."""


def new_console() -> Console:
    """Return a console for stdout. A pipe gets each row on one line, unless ``$COLUMNS`` sets a width."""
    is_limited = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if is_limited else _UNLIMITED)


def new_table(*columns: Column, gap: int = GAP) -> Table:
    """Return an empty table without lines, whose columns are ``gap`` apart."""
    return Table(*columns, box=None, padding=(0, gap, 0, 0), pad_edge=False)


def fitted(
    names: Sequence[str], rows: Sequence[Sequence[Text]], width: int, *, right: Collection[str] = ()
) -> RenderableType:
    """Return the rows as a table if it fits in ``width`` columns, or else as one block of lines for each row.

    ``right`` names the columns whose cells are aligned on the right.
    """
    widths = [max(map(_width, [Text(name), *cells])) for name, *cells in zip(names, *rows, strict=True)]
    gap = GAP if sum(widths) + GAP * (len(names) - 1) <= width else 1
    if sum(widths) + gap * (len(names) - 1) <= width:
        columns = (Column(name, justify="right" if name in right else "left", no_wrap=True) for name in names)
        table = new_table(*columns, gap=gap)
        for row in rows:
            table.add_row(*row)
        return table
    blocks: list[RenderableType] = []
    for row in rows:
        block = Table.grid(
            Column(style="bold", no_wrap=True), Column(overflow="fold"), padding=(0, GAP, 0, 0)
        )
        for name, cell in zip(names, row, strict=True):
            block.add_row(name, cell)
        blocks += [block, Text("")]
    return Group(*blocks[:-1])


def _width(cell: Text) -> int:
    return max(map(cell_len, cell.plain.splitlines()), default=0)


def shortened(path: str, width: int) -> str:
    """Return a path in at most ``width`` columns: its end, after ``…`` if it is longer."""
    if cell_len(path) <= width:
        return path
    end = path
    while end and cell_len(end) > width - 1:
        end = end[1:]
    return f"…{end}"
