"""Expansion of ~ and $VARIABLES in paths, as in a shell."""

from __future__ import annotations

import errno
import os
import re

from spikeport.errors import UserError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def expanded(text: str) -> str:
    """`text` with ~, ~user, $NAME and ${NAME} replaced. A path that exists literally is returned unchanged.

    Args:
        text: a path.

    Raises:
        UserError: a variable is not set, or no file can have such a name.
    """
    if "\0" in text:
        raise UserError("no path holds the character NUL", where=text, hint="correct it")
    if os.path.lexists(text):
        return text

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in os.environ:
            raise UserError(
                f"the variable {name} is not set", where=text, hint=f"set it (export {name}=...), or write the path out"
            )
        return os.environ[name]

    path = _VARIABLE.sub(value, os.path.expanduser(text))
    try:
        os.lstat(path)
    except OSError as error:  # what is absent, or may not be seen, is another's to tell
        if error.errno == errno.ENAMETOOLONG:
            raise UserError("no path is so long", where=f"{text[:40]}...", hint="correct it") from None
    return path
