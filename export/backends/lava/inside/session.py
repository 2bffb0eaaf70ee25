"""Ends the session of a worker: its processes, their shared memory and its folder. Imports nothing of Lava."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import time

SHARED = "/dev/shm/psm_"  # prefix of the shared memory that Lava's channels use


def end(session: int, folder: str | os.PathLike[str]) -> None:
    """Kills every process of `session` except the caller, and removes their shared memory and `folder`.

    Lava starts a process for each part of a network, and its shared memory remains when they are killed.

    Args:
        session: id of the session.
        folder: temporary folder of the session.
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
    """Ids of the running processes of a session; empty where there is no /proc.

    Args:
        session: id of the session.
    """
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(stat[3]) == session and stat[0] not in "ZX":
                found.append(int(entry.name))
    return found


def shared_memory(pid: int) -> set[str]:
    """Paths of the shared memory of Python that a process has mapped; empty where there is no /proc.

    Args:
        pid: id of the process.
    """
    with contextlib.suppress(OSError):
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        return {line[line.index(SHARED) :].split(" ")[0] for line in lines if SHARED in line}
    return set()
