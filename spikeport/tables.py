"""Tables as text and as HTML, for values that print themselves and for the command."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from spikeport.errors import printable


class Table(list[dict[str, Any]]):
    """Rows with the same keys, as a list of dictionaries that prints itself as a table.

    >>> Table([{"part": "python", "state": "ok"}])
    part    state
    ------  -----
    python  ok
    """

    def column(self, key: str) -> list[Any]:
        """The values under `key`, one a row.

        Args:
            key: name of the column.

        Returns:
            One value for each row.
        """
        return [row[key] for row in self]

    def __repr__(self) -> str:
        return "\n".join(text_table(*self._cells())) if self else "(empty table)"

    def _repr_html_(self) -> str:
        return html_table(*self._cells()) if self else "(empty table)"

    def _cells(self) -> tuple[list[str], list[list[Any]]]:
        keys = list(dict.fromkeys(key for row in self for key in row))
        return keys, [[row.get(key, "") for key in keys] for row in self]


def text_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """`rows` under `head` as aligned lines; columns of numbers are aligned to the right.

    Args:
        head: names of the columns.
        rows: cells of each row; None is printed as "unknown".

    Returns:
        The lines of the table.

    >>> text_table(("layer", "weights"), [("conv1", 1200), ("out", None)])
    ['layer  weights', '-----  -------', 'conv1  1,200', 'out    unknown']
    """
    texts = [[cell_text(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[column]) for row in texts) for column in range(len(head))] if texts else []
    widths = [max(len(row[column]) for row in [list(head), *texts]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if numeric and right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric or [False] * len(head), strict=True)
        ]
        return "  ".join(parts).rstrip()

    return [line(list(head)), "  ".join("-" * width for width in widths), *(line(row) for row in texts)]


def text_of(lines: Iterable[str]) -> str:
    """Joins lines to one text, as the `repr` of values. Line ends and control characters within a line are escaped.

    Args:
        lines: the lines.

    >>> text_of(["layer a\\nb", "layer c"])
    'layer a\\\\nb\\nlayer c'
    """
    return "\n".join(printable(line) for line in lines)


def html_table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """The table of `text_table` as HTML, escaped.

    Args:
        head: names of the columns.
        rows: cells of each row.
        caption: caption of the table; "" for none.
    """
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell_text(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>{title}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def cell_text(cell: Any) -> str:
    """One cell as text: None is "unknown", floats have four digits, integers commas; control characters are escaped.

    Args:
        cell: any value.
    """
    if cell is None:
        return "unknown"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return printable(str(cell))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True
