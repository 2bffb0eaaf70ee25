"""Ends a child process that gives no sign of life."""

from __future__ import annotations

import subprocess
import threading
import time


class Watch:
    """Kills the process after `timeout_s` seconds without a progress message."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        self.process, self.timeout_s, self.late = process, timeout_s, False
        self._until = time.monotonic() + timeout_s
        self._over = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def again(self) -> None:
        """Restarts the timeout after a progress message."""
        self._until = time.monotonic() + self.timeout_s

    def over(self) -> None:
        """Ends the watch."""
        self._over.set()

    def _wait(self) -> None:
        while (left := self._until - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        self.late = True
        self.process.kill()
