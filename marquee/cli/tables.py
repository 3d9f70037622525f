"""Tables of plain text on standard output."""

from __future__ import annotations

from collections.abc import Sequence

# Where nobody looks, a table is as wide as it needs to be.
UNSEEN_WIDTH = 200


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their heads; without heads if there are none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None, show_header=bool(heads), pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNSEEN_WIDTH
    console.print(table)
