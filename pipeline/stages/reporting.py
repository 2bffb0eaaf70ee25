"""Progress of long work, reported to functions of the caller or printed by the command."""

from __future__ import annotations

from collections.abc import Callable

from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.progress import NamedProgress

Log = Callable[[str], None]
ProgressLike = ProgressPrinter | NamedProgress | None  # a display, or a function that is called


class CallbackProgress(ProgressPrinter):
    """Calls functions of the caller instead of printing.

    Args:
        progress: called with (parts done, parts in all, what is done); None: not called.
        log: called with a line of text; None: not called.
    """

    def __init__(self, progress: NamedProgress | None = None, log: Log | None = None) -> None:
        super().__init__(quiet=True)
        self._progress, self._log = progress, log

    def log(self, text: str) -> None:
        """Calls `log` with a line.

        Args:
            text: the line.
        """
        if self._log is not None:
            self._log(text)

    def log_epoch(self, text: str) -> None:
        """Calls `log` with the line of an epoch.

        Args:
            text: the line.
        """
        self.log(text)

    def __call__(self, done: int, total: int, what: str) -> None:
        """Hands the state to `progress`."""
        if self._progress is not None:
            self._progress(done, total, what)


def progress_of(progress: ProgressLike, log: Log | None = None) -> ProgressPrinter:
    """The display that a caller gave, or one that calls the caller's functions.

    Args:
        progress: a display, a function, or None.
        log: called with lines of text.

    Returns:
        `progress` itself if it is a display, else a display that calls the functions.
    """
    return progress if isinstance(progress, ProgressPrinter) else CallbackProgress(progress, log)
