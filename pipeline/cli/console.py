"""Prints results as JSON or as text, and ends commands whose check failed."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from spikeport.errors import CheckFailedError, printable

DIVERGENCE_HINT = "report the case: it is a bug in Spikeport, or Lava is not version 0.10.0"


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
