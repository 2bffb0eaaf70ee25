"""Ends a worker's session: its processes, their shared memory, its folder. Imports nothing of Lava."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import time

SHARED = "/dev/shm/psm_"  # how Python names the shared memory that Lava's channels live in


def end(session: int, folder: str | os.PathLike[str]) -> None:
    """Kills every process of `session` but the caller; removes their shared memory and `folder`.

    Lava starts a process per network part and makes shared memory that outlives a kill.
    """
    shared: set[str] = shared_memory(os.getpid()) if session == os.getsid(0) else set()
    for _ in range(50):  # one of them may be starting another
        others = [pid for pid in members(session) if pid != os.getpid()]
        for pid in others:
            shared |= shared_memory(pid)
        for pid in others:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not others:
            break
        time.sleep(0.02)
    for path in shared:
        with contextlib.suppress(OSError):
            os.unlink(path)
    for _ in range(50):  # the caller's own thread may be writing there
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.02)


def members(session: int) -> list[int]:
    """Ids of the living processes of a session, where the system tells (Linux)."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(stat[3]) == session and stat[0] not in "ZX":
                found.append(int(entry.name))
    return found


def shared_memory(pid: int) -> set[str]:
    """Paths of Python's shared memory that a process has mapped, where the system tells (Linux)."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        return {line[line.index(SHARED) :].split(" ")[0] for line in lines if SHARED in line}
    return set()
