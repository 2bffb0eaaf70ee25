"""Shows progress on standard error: a line an epoch, and a bar in a terminal, or a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from spikeport.errors import printable

LINE_EVERY_S = 10.0


class ProgressPrinter:
    """A `NamedProgress` that prints; used in a `with` block, which ends its bar.

    Args:
        quiet: print nothing.
        stream: where to print; default: standard error.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._bars: Any = None
        self._task: Any = None
        self._what = ""
        self._noted: set[object] = set()
        self._began = self._shown_s = 0.0

    def __enter__(self) -> ProgressPrinter:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_bar()

    def log(self, text: str) -> None:
        """Prints one line, above any bar.

        Args:
            text: the line.
        """
        self._end_bar()
        if not self._quiet:
            print(printable(text), file=self._stream, flush=True)

    def log_once(self, text: str, *, key: object) -> None:
        """Prints one line, unless one was printed for this key before.

        Args:
            text: the line.
            key: any hashable value.
        """
        if key not in self._noted:
            self._noted.add(key)
            self.log(text)

    def log_epoch(self, text: str) -> None:
        """Prints one line about the work that goes on, above its bar.

        Args:
            text: the line.
        """
        if self._quiet:
            return
        self._shown_s = time.monotonic()
        line = f"  {printable(text)}"
        if self._bars is not None:
            self._bars.console.out(line, highlight=False)
        else:
            print(line, file=self._stream, flush=True)

    def __call__(self, done: int, total: int, what: str) -> None:
        """Shows that `done` of `total` units of `what` are finished."""
        if self._quiet:
            return
        if what != self._what:
            self._end_bar()
            self._what, self._began, self._shown_s = what, time.monotonic(), time.monotonic()
        if self._stream.isatty():
            self._show_bar(done, total)
        else:
            self._show_line(done, total)

    def _show_line(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown_s < LINE_EVERY_S:
            return
        self._shown_s = now
        left = (now - self._began) * (total - done) / done if done else None
        estimate = "" if left is None or done >= total else f", about {_duration(left)} left"
        print(f"  {printable(self._what)}: {done} of {total}{estimate}", file=self._stream, flush=True)

    def _show_bar(self, done: int, total: int) -> None:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            columns = (
                TextColumn("  {task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bars = Bars(*columns, console=Console(file=self._stream), transient=True)
            self._bars.start()
            self._task = self._bars.add_task(printable(self._what), total=total)
        self._bars.update(self._task, completed=done, total=total)

    def _end_bar(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        self._what = ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
