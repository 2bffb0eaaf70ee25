"""Runs the command in forks of this process, which has imported it once, and checks what it did.

A fork runs `pipeline.cli.app.main` in a session of its own, with files for its output. Exit code, output, seconds and
peak memory are those of this process and its child processes. Time in which the process was ready and waited for a
processor does not count, so that the time limit also holds on a busy machine.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostile_inputs.cases import Case, rng_of

LIMIT_S = 20.0
LIMIT_MIB = 1024
KILL_MIB = 2048  # processes above it are killed
GRACE_S = 20.0  # time in which child processes may end after the command


@dataclass(frozen=True)
class ProcessResult:
    """Result of a process.

    Attributes:
        code: exit code; a negative number is a signal.
        out: its standard output.
        err: its standard error.
        seconds: duration in s, without waiting for a processor.
        peak_mib: peak memory in MiB.
        stopped: why `wait` killed it; "" if it ended by itself.
        left: child processes that remained.
    """

    code: int
    out: bytes
    err: bytes
    seconds: float
    peak_mib: int
    stopped: str = ""
    left: tuple[int, ...] = ()


def load(*, training: bool = True) -> None:
    """Imports the modules of the commands, so that a fork starts without delay.

    Args:
        training: whether also those of training and report.
    """
    for name in ("h5py", "PIL.Image", "scipy.io", "spikeport.pipeline.cli.app", "spikeport.pipeline.data.describe"):
        __import__(name)
    if training:
        for name in ("matplotlib.figure", "nir", "numba", "sklearn.datasets", "torch", "pytorch_lightning", "snntorch",
                     "spikeport.pipeline.stages.train", "spikeport.pipeline.stages.deploy",
                     "spikeport.pipeline.stages.report"):  # fmt: skip
            __import__(name)


def start(words: list[str], folder: Path, home: Path, prepare: Callable[[], None] | None = None) -> int:
    """Starts a process that runs the command.

    Args:
        words, folder: arguments and working folder of the command.
        home: folder for its output, cache and temporary files.
        prepare: called in the process before the command.

    Returns:
        The id of the process.
    """
    ctypes.CDLL(None).prctl(
        36, 1, 0, 0, 0
    )  # PR_SET_CHILD_SUBREAPER: its remaining child processes become children of this process
    for name in ("cache", "tmp", "home"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for name in ("out", "err"):
        (home / name).write_bytes(b"")  # removes the output of an earlier command
    _own.clear()
    _own.update(_children(os.getpid()))
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        os.environ |= {"SPIKEPORT_CACHE": str(home / "cache"), "TMPDIR": str(home / "tmp"), "HOME": str(home / "home")}
        import tempfile

        tempfile.tempdir = None
        sys.argv = ["spikeport", *words]
        code = _main(prepare)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _main(prepare: Callable[[], None] | None) -> int:
    """Runs the command, and then the exit functions of the interpreter."""
    from spikeport.pipeline.cli.app import main

    try:
        if prepare:
            prepare()
        main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    return code & 255


def wait(child: int, home: Path, limit_s: float) -> ProcessResult:
    """Waits for a process of `start`. Kills it after `limit_s` or above KILL_MIB, and then its child processes.

    Args:
        child: id of the process.
        home: its folder of output.
        limit_s: time limit in s.
    """
    began, stopped, nap_s = time.monotonic(), "", 0.002
    before_s = waited_s = _waited_s(child)
    while True:
        found, status, used = os.wait4(child, os.WNOHANG)
        if found:
            break
        waited_s = max(waited_s, _waited_s(child))
        if not stopped and time.monotonic() - began - (waited_s - before_s) > limit_s:
            stopped = f"no end after {limit_s:g} s"
        if not stopped and _resident_mib(child) > KILL_MIB:
            stopped = f"more than {KILL_MIB} MiB"
        if stopped:
            os.kill(child, signal.SIGKILL)
        time.sleep(nap_s)
        nap_s = min(2 * nap_s, 0.05)
    seconds = time.monotonic() - began - (waited_s - before_s)
    left = _left_behind(0.0 if stopped else GRACE_S)
    code = os.waitstatus_to_exitcode(status)
    output = [(home / name).read_bytes() if (home / name).is_file() else b"" for name in ("out", "err")]
    return ProcessResult(code, *output, seconds, used.ru_maxrss // 1024, stopped, () if stopped else left)


def _left_behind(grace_s: float) -> tuple[int, ...]:
    """Child processes that outlive the command by `grace_s`. They are killed."""
    end = time.monotonic() + grace_s
    while (left := _others()) and time.monotonic() < end:
        _reap()
        time.sleep(0.01)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    while _others():
        _reap()
        time.sleep(0.01)
    _reap()
    return tuple(left)


_own: set[int] = set()  # other children of this process, such as the reader of HDF5 files


def _others() -> list[int]:
    return [child for child in _children(os.getpid()) if child not in _own]


def _children(process: int) -> list[int]:
    """Running child processes of a process, and their children."""
    found = []
    for task in os.listdir(f"/proc/{process}/task"):
        with contextlib.suppress(OSError):
            for child in map(int, Path(f"/proc/{process}/task/{task}/children").read_text().split()):
                if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                    found.append(child)
                with contextlib.suppress(OSError):
                    found += _children(child)
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _waited_s(process: int) -> float:
    """Time for which a process waited for a processor, s."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def _resident_mib(process: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    return 0


def try_case(case: Case, seed: int, folder: Path, limit_s: float = LIMIT_S) -> tuple[ProcessResult, list[str]]:
    """Builds a case in a new folder, runs its command, and lists the faults.

    Args:
        case: the case.
        seed: seed of all cases.
        folder: folder of the case; it is replaced.
        limit_s: time limit in s.

    Returns:
        The result of the process, and its faults.
    """
    shutil.rmtree(folder, ignore_errors=True)
    place = folder / "place" / "work"  # files written outside of it are in `place` or in the folder of outputs
    place.mkdir(parents=True)
    words = case.build(place, rng_of(seed, case))
    before = _files(folder / "place")
    outcome = wait(start(words, place, folder / "home", case.prepare), folder / "home", limit_s)
    return outcome, violations(outcome, limit_s, case.codes) + _moved(case, before, folder)


def violations(outcome: ProcessResult, limit_s: float = LIMIT_S, codes: tuple[int, ...] = (0, 2, 3)) -> list[str]:
    """Faults that no command may have, such as a traceback, a hang, remaining processes, or raw control characters.

    Args:
        outcome: result of the process.
        limit_s: time limit in s.
        codes: allowed exit codes.
    """
    found = []
    output = outcome.err.decode("utf-8", "replace")
    if "Traceback (most recent call last)" in output:
        found.append(f"traceback: {output.strip().splitlines()[-1][:200]}")
    if outcome.stopped or outcome.seconds > limit_s:
        found.append(f"hang: {outcome.stopped or f'{outcome.seconds:.1f} s'}")
    elif outcome.code not in codes:
        found.append(f"exit code {outcome.code}: {output.strip()[-200:]!r}")
    if outcome.peak_mib > LIMIT_MIB:
        found.append(f"memory: {outcome.peak_mib} MiB")
    if outcome.code in (2, 3) and sum(line.startswith(("error: ", "Usage: ")) for line in output.splitlines()) != 1:
        found.append(f"refused without one line that says why: {output.strip()[-200:]!r}")
    if outcome.left:
        found.append(f"{len(outcome.left)} processes left")
    for name, text in (("out", outcome.out), ("err", outcome.err)):
        try:
            steering = {mark for mark in text.decode("utf-8") if not mark.isprintable() and mark not in "\n"}
        except UnicodeDecodeError:
            steering = {"bytes that are not UTF-8"}
        if steering:
            found.append(f"raw control characters in std{name}: {sorted(steering)}")
    return found


def _moved(case: Case, before: dict[str, str], folder: Path) -> list[str]:
    after = _files(folder / "place")
    free = tuple(f"work/{name}" for name in case.writes)
    changed = sorted(
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and not any(name == at or name.startswith(f"{at}/") for at in free)
    )
    found = [f"written or changed: {changed[:5]}"] if changed else []
    temporary = sorted(os.listdir(folder / "home" / "tmp"))
    return found + ([f"left in the temporary folder: {temporary[:5]}"] if temporary else [])


def _files(folder: Path) -> dict[str, str]:
    """Content of a folder: the hash of each file, and the target of each link."""
    found = {}
    for path, folders, names in os.walk(folder):
        for name in folders + names:
            full = os.path.join(path, name)
            key = os.path.relpath(full, folder)
            if os.path.islink(full):
                found[key] = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    found[key] = hashlib.file_digest(file, "sha256").hexdigest()
            elif not os.path.isdir(full):
                found[key] = "special"
    return found
