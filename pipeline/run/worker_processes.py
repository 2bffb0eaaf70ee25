"""Worker processes of a training: started by rank 0, watched, and ended with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from importlib.machinery import ModuleSpec

from spikeport import exits
from spikeport.errors import MissingDependencyError, UserError

GRACE_S = 5.0  # the error of rank 0 itself says more, and mostly comes within this time


class WorkerProcesses:
    """Ranks 1 to `world` - 1 of this command, on this machine; they end with this process.

    If a worker ends while rank 0 waits for it inside a library, this process exits with the worker's error.

    Args:
        world: number of processes, this one included.
    """

    def __init__(self, world: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0"}
        self.connected = False
        self._watched = threading.Event()
        self._watched.set()
        command = [*_command_of(sys.modules["__main__"].__spec__), *sys.argv[1:]]
        self._processes = [
            subprocess.Popen(
                command,
                env={**os.environ, **exits.child_environment(), "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            for rank in range(1, world)
        ]
        self._stderr_lines: list[deque[str]] = [deque(maxlen=50) for _ in self._processes]
        self._readers = [
            threading.Thread(target=_read_stderr, args=pair, daemon=True)
            for pair in zip(self._processes, self._stderr_lines, strict=True)
        ]
        for thread in (*self._readers, threading.Thread(target=self._watch, daemon=True)):
            thread.start()

    def lost(self, patience_s: float = 0.0) -> UserError | None:
        """The error of the first worker that ended too early; None if none did.

        Args:
            patience_s: time to wait for such a worker, s.
        """
        until = time.monotonic() + patience_s
        while True:
            for rank, process in enumerate(self._processes, start=1):
                code = process.poll()
                if code or (code == 0 and not self.connected):
                    self._readers[rank - 1].join(1)
                    return _error_of(rank, code, list(self._stderr_lines[rank - 1]))
            if time.monotonic() >= until:
                return None
            time.sleep(0.05)

    def release(self) -> None:
        """Stops watching: rank 0 continues without the workers."""
        self._watched.clear()

    def end(self, patience_s: float) -> None:
        """Waits for each worker, then kills it.

        Args:
            patience_s: time to wait for each worker, s.
        """
        self.release()
        for process in self._processes:
            try:
                process.wait(timeout=patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self) -> None:
        while self._watched.is_set():
            if error := self.lost():
                time.sleep(GRACE_S)
                if self._watched.is_set():
                    exits.exit_now(error.exit_code, str(error))
            time.sleep(0.2)


def _read_stderr(process: subprocess.Popen[str], lines: deque[str]) -> None:
    assert process.stderr
    for line in process.stderr:
        lines.append(line)


def _error_of(rank: int, code: int, lines: list[str]) -> UserError:
    kind = MissingDependencyError if code == MissingDependencyError.exit_code else UserError
    return kind(
        f"process {rank} of those that train together {exits.describe_exit(code)}",
        where="training.devices",
        cause=exits.last_error(lines),
        hint="remove the cause, or train in one process; the same command with --resume continues from here",
    )


def _command_of(spec: ModuleSpec | None) -> list[str]:
    """The command line of this process. For Spikeport's own modules Python does not search the current folder (-P)."""
    if spec is None:
        return [sys.executable, os.path.abspath(sys.argv[0])]
    safe = sys.flags.safe_path or spec.name.split(".")[0] == __name__.split(".")[0]
    return [sys.executable, *(["-P"] if safe else []), "-m", spec.name]
