"""Parts of Markdown documents: escaped text, lists and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from spikeport.errors import printable


def bullets(items: Iterable[str], empty: str) -> list[str]:
    """A list as one block.

    Args:
        items: texts; they are escaped.
        empty: the block where there are no items; "" for no block.
    """
    lines = "\n".join(f"- {inline(item)}" for item in items)
    return [lines or empty] if lines or empty else []


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table.

    Args:
        head: names of the columns.
        rows: cells; they are escaped unless they are `Marked`.
        right: indices of the columns that are aligned to the right.
    """
    marks = ["---:" if column in set(right) else "---" for column in range(len(head))]
    lines = [cells(head), marks, *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Marked(str):
    """Text that is Markdown already. It is not escaped, while all other text is."""


def strong(text: str) -> Marked:
    """Bold text, escaped.

    Args:
        text: plain text.
    """
    return Marked(f"**{_inert(text)}**")


def joined(*parts: str) -> Marked:
    """Joins parts; each is escaped unless it is `Marked`."""
    return Marked("".join(part if isinstance(part, Marked) else _inert(part, strip=False) for part in parts))


def code(text: str) -> Marked:
    """Text as code.

    Args:
        text: plain text; backticks become apostrophes.
    """
    return Marked("`" + _one_line(text).replace("`", "'") + "`")


def cells(row: Sequence[str]) -> list[str]:
    """Escapes the cells of one row of a table, with their vertical bars.

    Args:
        row: cells; `Marked` cells keep their Markdown.
    """
    return [(cell if isinstance(cell, Marked) else _inert(cell)).replace("|", "\\|") for cell in row]


def inline(text: str) -> str:
    """Escapes text for a line of Markdown: it cannot become HTML, a link, a picture, emphasis, a heading or a list.

    Args:
        text: plain text; `Marked` text is returned unchanged.
    """
    return text if isinstance(text, Marked) else _BLOCK.sub(r"\1\\\2", _inert(text))


def _inert(text: str, *, strip: bool = True) -> str:
    line = _MARKS.sub(r"\\\g<0>", _one_line(text, strip=strip))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_line(text: str, *, strip: bool = True) -> str:
    line = re.sub(r"\s+", " ", str(text))
    return printable(line.strip() if strip else line)


# Characters with a meaning within a line. Not escaped: brackets without an address after them, a star between spaces,
# an underscore between letters.
_MARKS = re.compile(r"[\\`]|\](?=[(\[:]|$)|~(?=~)|(?<=~)~|\*(?=\S)|(?<=\S)\*|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
# Starts of a line that make it a heading, a list item, a rule or a fence.
_BLOCK = re.compile(r"^(\d*)(#{1,6}(?:\s|$)|[-+*](?:\s|$)|[.)](?:\s|$)|(?:[-=] ?){2,}|~)")
