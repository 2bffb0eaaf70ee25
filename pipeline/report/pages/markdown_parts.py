"""Pieces of Markdown: text that is shown as it is, whatever it holds, lists, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from spikeport.errors import printable


def bullets(items: Iterable[str], empty: str) -> list[str]:
    """A list as one block; `empty` where there is no item, and no block where that is empty too."""
    lines = "\n".join(f"- {inline(item)}" for item in items)
    return [lines or empty] if lines or empty else []


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table whose columns `right` are set to the right."""
    marks = ["---:" if column in set(right) else "---" for column in range(len(head))]
    lines = [cells(head), marks, *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Marked(str):
    """Text that is Markdown already, and stays what it is; all other text is shown letter by letter."""


def strong(text: str) -> Marked:
    """`text` in bold, whatever it holds."""
    return Marked(f"**{_inert(text)}**")


def joined(*parts: str) -> Marked:
    """Parts in a row, each inert unless it is Markdown already."""
    return Marked("".join(part if isinstance(part, Marked) else _inert(part, strip=False) for part in parts))


def code(text: str) -> Marked:
    """`text` as code."""
    return Marked("`" + _one_line(text).replace("`", "'") + "`")


def cells(row: Sequence[str]) -> list[str]:
    """Cells of a table, in which bars stay inert too."""
    return [(cell if isinstance(cell, Marked) else _inert(cell)).replace("|", "\\|") for cell in row]


def inline(text: str) -> str:
    """A line of Markdown that shows `text` and nothing else: no HTML, link, picture, emphasis, heading or list."""
    return text if isinstance(text, Marked) else _BLOCK.sub(r"\1\\\2", _inert(text))


def _inert(text: str, *, strip: bool = True) -> str:
    line = _MARKS.sub(r"\\\g<0>", _one_line(text, strip=strip))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_line(text: str, *, strip: bool = True) -> str:
    line = re.sub(r"\s+", " ", str(text))
    return printable(line.strip() if strip else line)


# What marks text within a line: brackets mark nothing unless an address follows them, nor a star between spaces, nor a
# stroke between letters.
_MARKS = re.compile(r"[\\`]|\](?=[(\[:]|$)|~(?=~)|(?<=~)~|\*(?=\S)|(?<=\S)\*|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
# What makes of a line a heading, an item, a rule or a fence.
_BLOCK = re.compile(r"^(\d*)(#{1,6}(?:\s|$)|[-+*](?:\s|$)|[.)](?:\s|$)|(?:[-=] ?){2,}|~)")
