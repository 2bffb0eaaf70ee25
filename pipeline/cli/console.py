"""Options that several commands share, and the printing of results as JSON or as text."""

from __future__ import annotations

import json as json_format
import re
import sys
from collections.abc import Iterable
from typing import Annotated, Any, NoReturn

import typer

from spikeport.errors import CheckFailedError, UserError, printable

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
RecipeWord = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe: a TOML file, or the name of a shipped recipe.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change one setting of the recipe. Repeatable."),
]
InputShape = Annotated[
    str | None,
    typer.Option("--input-shape", metavar="C,H,W", help="Shape of a sample, for files that do not state it."),
]


def show(result: Any, as_json: bool, lines: Iterable[str]) -> None:
    """Prints a result on standard output. Escapes control characters and line ends within a line.

    Args:
        result: the result in JSON values.
        as_json: whether to print `result` as ASCII JSON, and not `lines`.
        lines: the result as text.
    """
    if as_json:
        print(json_format.dumps(result, indent=2, allow_nan=False))
    else:
        for line in lines:
            print(printable(line))


def shape_of(text: str | None) -> tuple[int, ...] | None:
    """Parses the value of --input-shape, such as `2,34,34`.

    Args:
        text: sizes with commas; None: not given.

    Returns:
        The shape; None if `text` is None.

    Raises:
        UserError: the text is not a shape.
    """
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(
            f"{text!r} is not a shape", where="--input-shape", hint="write it as C,H,W, for example 2,34,34"
        )
    return sizes


def bytes_of(text: str | None) -> int | None:
    """Parses the value of --memory, such as `512M` or `4G`.

    Args:
        text: a number with K, M, G or T for powers of 1024; None: not given.

    Returns:
        The size in bytes; None if `text` is None.

    Raises:
        UserError: the text is not a size.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if match is None or not float(match[1]):
        raise UserError(f"{text!r} is not a size", where="--memory", hint="write it as 512M or 4G")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def fail(message: str, hint: str) -> NoReturn:
    """Ends the command with exit code 1, for a check that failed.

    Args:
        message: the failure.
        hint: how to correct it.

    Raises:
        CheckFailedError: always.
    """
    sys.stdout.flush()
    raise CheckFailedError(message, hint=hint)
