"""Errors that a user can correct.

The command prints them as one line and exits with `exit_code`. Every other exception is a bug and keeps its traceback.
"""


class UserError(ValueError):
    """A request or an input that cannot be used. Printed as one line: "where: message: cause. Hint: hint".

    Attributes:
        message: what is wrong.
        where: the file, layer or key, "" for none.
        cause: why it is wrong, "" for none.
        hint: how to correct it, "" for none.

    >>> print(UserError("is not a TOML file", where="a.toml", cause="line 3", hint="see digits.toml"))
    a.toml: is not a TOML file: line 3. Hint: see digits.toml
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
    """Something that the request needs is not installed (Lava, a data set); `hint` is the command that installs it."""

    exit_code = 3


class NeedsAdaptError(UserError):
    """The chip has no exact form of a part of a network, but one near it, which `spikeport adapt` trains."""


class UnstatedError(UserError):
    """A file does not state what an option has to say, such as the time step."""


class CannotWriteError(UserError):
    """A file could not be written: the disk is full, over its quota, read-only or broken. No partial file remains."""


class CheckFailedError(UserError):
    """A check ran and failed, for example because spikes differ."""

    exit_code = 1


def printable(text: str) -> str:
    """`text` with escapes in place of control characters (ESC, newline, U+202E and others), for terminals.

    Names that come from files are printed only after this.

    Args:
        text: any text.

    Returns:
        The text on one line, without characters that steer a terminal.

    >>> printable("a\\x1b[31m")
    'a\\\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
