"""Pieces of Markdown: text in which HTML stays inert, lists, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def bullets(items: Iterable[str], empty: str) -> list[str]:
    """A list as one block; `empty` where there is no item, and no block where that is empty too."""
    lines = "\n".join(f"- {inline(item)}" for item in items)
    return [lines or empty] if lines or empty else []


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table whose columns `right` are set to the right."""
    marks = ["---:" if column in set(right) else "---" for column in range(len(head))]
    lines = [cells(head), marks, *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cells(row: Sequence[str]) -> list[str]:
    """Cells of a table, in which bars stay inert too."""
    return [inline(cell).replace("|", "\\|") for cell in row]


def inline(text: str) -> str:
    """One line of Markdown in which HTML stays inert."""
    return " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
