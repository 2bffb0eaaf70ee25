"""What the command prints: JSON for machines, lines and tables for people."""

from __future__ import annotations

import json as json_format
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from spikeport.errors import CheckFailedError, UserError, printable

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
RecipeWord = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change one setting of the recipe; may be repeated."),
]
InputShape = Annotated[
    str | None, typer.Option("--input-shape", metavar="C,H,W", help="Where the file does not say it.")
]


def show(result: Any, as_json: bool, lines: Iterable[str]) -> None:
    """Prints `result` as JSON (in ASCII), or `lines`, on standard output. What could steer a terminal, or begin
    another line, is escaped."""
    if as_json:
        print(json_format.dumps(result, indent=2, allow_nan=False))
    else:
        for line in lines:
            print(printable(line))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """`rows` under `head` as aligned lines; numbers to the right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[column]) for row in texts) for column in range(len(head))] if texts else []
    widths = [max(len(row[column]) for row in [list(head), *texts]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if numeric and right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric or [False] * len(head), strict=True)
        ]
        return "  ".join(parts).rstrip()

    return [line(list(head)), "  ".join("-" * width for width in widths), *(line(row) for row in texts)]


def shape_of(text: str | None) -> tuple[int, ...] | None:
    """The sizes in `text`, None for None. Raises UserError where they are none."""
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(f"{text!r} is no shape", where="--input-shape", hint="write it as C,H,W, for example 2,34,34")
    return sizes


def bytes_of(text: str | None) -> int | None:
    """Bytes in a size like 512M or 4G (powers of 1024), None for None. Raises UserError where it is none."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if match is None or not float(match[1]):
        raise UserError(f"{text!r} is no size", where="--memory", hint="write it as 512M or 4G")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def fail(what: str, hint: str) -> NoReturn:
    """Leaves with exit code 1: a check ran, and its answer is no."""
    sys.stdout.flush()
    raise CheckFailedError(what, hint=hint)


def _text(cell: Any) -> str:
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
