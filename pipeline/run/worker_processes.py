"""The processes that a leading one starts to train together with it: started, watched, and ended with it."""

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

GRACE_S = 5.0  # what ends one process ends the leading one too, most often, and that one says it better


class WorkerProcesses:
    """Ranks 1 to `world` - 1 of this command, on this machine. They end with this process, however it ends.

    One that is lost while the leader waits for it in a library's code would be waited for in vain: then the command
    leaves with its reason.
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
                env={**os.environ, **exits.started_by_this(), "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            for rank in range(1, world)
        ]
        self._said: list[deque[str]] = [deque(maxlen=50) for _ in self._processes]
        self._readers = [
            threading.Thread(target=_overhear, args=pair, daemon=True)
            for pair in zip(self._processes, self._said, strict=True)
        ]
        for thread in (*self._readers, threading.Thread(target=self._watch, daemon=True)):
            thread.start()

    def lost(self, patience_s: float = 0.0) -> UserError | None:
        """Why the first that was lost is, waiting `patience_s` for one; None where none is."""
        until = time.monotonic() + patience_s
        while True:
            for rank, process in enumerate(self._processes, start=1):
                code = process.poll()
                if code or (code == 0 and not self.connected):
                    self._readers[rank - 1].join(1)
                    return _why(rank, code, list(self._said[rank - 1]))
            if time.monotonic() >= until:
                return None
            time.sleep(0.05)

    def release(self) -> None:
        """From here on the leader goes alone, and nothing depends on the others any more."""
        self._watched.clear()

    def end(self, patience_s: float) -> None:
        """Waits for them for so long, each, then ends them."""
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
                    exits.leave(error.exit_code, str(error))
            time.sleep(0.2)


def _overhear(process: subprocess.Popen[str], said: deque[str]) -> None:
    assert process.stderr
    for line in process.stderr:
        said.append(line)


def _why(rank: int, code: int, said: list[str]) -> UserError:
    kind = MissingDependencyError if code == MissingDependencyError.exit_code else UserError
    return kind(
        f"process {rank} of those that train together {exits.left_with(code)}",
        where="training.devices",
        cause=exits.last_words(said),
        hint="mend that, or train in one process; the same command with --resume goes on from here",
    )


def _command_of(spec: ModuleSpec | None) -> list[str]:
    """How this command was started. Of a module of ours no other is meant that lies in the current folder (-P); for
    another's, that folder is searched where it was for this process."""
    if spec is None:
        return [sys.executable, os.path.abspath(sys.argv[0])]
    safe = sys.flags.safe_path or spec.name.split(".")[0] == __name__.split(".")[0]
    return [sys.executable, *(["-P"] if safe else []), "-m", spec.name]
