"""Expands ~ and $VARIABLES in the path arguments of all commands, as in recipes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from spikeport.paths import expanded


class Verbs(TyperGroup):
    """The command group. It expands ~ and $VARIABLES in the path arguments of its commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for verb in self.commands.values():
            _expand(verb)

    def main(self, args: Any = None, *rest: Any, **settings: Any) -> Any:
        """Parses the arguments and runs the command.

        Raises:
            UserError: an argument contains the character NUL, which no path can contain.
        """
        for word in sys.argv[1:] if args is None else args:
            if "\0" in word:
                expanded(word)  # raises UserError; the error of typer would not be one line
        return super().main(args, *rest, **settings)


def _expand(verb: Any) -> None:
    if verb.callback is not None:
        verb.callback = _expanding(verb.callback)
    for inner in getattr(verb, "commands", {}).values():
        _expand(inner)


def _expanding(verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    def called(*given: Any, **named: Any) -> Any:
        return verb(*given, **{name: _path(value) for name, value in named.items()})

    return called


def _path(value: Any) -> Any:
    if isinstance(value, list):
        return [_path(entry) for entry in value]
    return Path(expanded(str(value))) if isinstance(value, Path) else value
