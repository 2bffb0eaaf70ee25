"""The errors that a user can mend. Lowest in the house, so that every package can raise them.

The command prints one line of them and leaves with `exit_code`; everything else is our bug and keeps its traceback.
"""


class UserError(ValueError):
    """A request or an input that cannot be used: what is wrong, where, why, and how to correct it.

    `where` names the file, layer or key. The message is a single line, so that a log keeps it whole.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str = "", cause: str = "", hint: str = "") -> None:
        self.message, self.where, self.cause, self.hint = message, where, cause, hint
        line = f"{where}: {message}" if where else message
        if cause:
            line += f": {cause}"
        if hint:
            line += f". Hint: {hint}"
        super().__init__(printable(" ".join(line.split())))


class MissingDependencyError(UserError):
    """A part that the request needs is not here (Lava, a data set); `mend` is the command that brings it."""

    exit_code = 3


class CannotWriteError(UserError):
    """A file could not be written: the disk is full, over its quota, read-only or broken. Nothing is half-written."""


class CheckFailedError(UserError):
    """A check ran and its answer is no, for example spikes that differ."""

    exit_code = 1


def printable(text: str) -> str:
    """`text` with every character that could steer a terminal (ESC, newline, U+202E and other controls) as its escape.

    Names that come from files go through this before they are shown.

    >>> printable("a\\x1b[31m")
    'a\\\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
