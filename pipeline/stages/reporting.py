"""Progress of long work handed to functions of the caller, in place of the command's bars and lines."""

from __future__ import annotations

from collections.abc import Callable

from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.progress import NamedProgress

Log = Callable[[str], None]
ProgressLike = ProgressPrinter | NamedProgress | None  # a display, or a function that is called


class CallbackProgress(ProgressPrinter):
    """Prints nothing: `progress(done, total, what)` and `log(text)` are called instead, where given."""

    def __init__(self, progress: NamedProgress | None = None, log: Log | None = None) -> None:
        super().__init__(quiet=True)
        self._progress, self._log = progress, log

    def say(self, text: str) -> None:
        """Hands `text` to `log`."""
        if self._log is not None:
            self._log(text)

    def __call__(self, done: int, total: int, what: str) -> None:
        """Hands the state to `progress`."""
        if self._progress is not None:
            self._progress(done, total, what)


def progress_of(progress: ProgressLike, log: Log | None = None) -> ProgressPrinter:
    """The display that a caller gave, or one that calls the caller's functions."""
    return progress if isinstance(progress, ProgressPrinter) else CallbackProgress(progress, log)
