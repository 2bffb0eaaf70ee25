"""A full disk in every stage of a small run: one line, exit code 2, and with room again the undisturbed run's bytes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from hostile_inputs import small_run, warm

Count = Callable[[str, warm.ProcessResult, list[str]], None]
DISK_MIB = 8
SPARE = 4096  # bytes that the disk has left


def starved(folder: Path, whole: Path, count: Count) -> str:
    """Lets the run begin each stage without room for what it writes, then with room. Tells `count` of every process;
    gives how the disk was filled."""
    disk = folder / "disk"
    shutil.rmtree(folder, ignore_errors=True)
    disk.mkdir(parents=True)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "spikeport-robustness", str(disk)],
        capture_output=True, check=False,
    )  # fmt: skip
    mounted = mount.returncode == 0
    try:
        for stage in small_run.stages(whole):
            for entry in disk.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            shutil.copytree(whole, disk / "run")
            shutil.copyfile(whole.parent / "r.toml", disk / "r.toml")
            small_run.rewind(disk / "run", stage)
            home = folder / "home"
            shutil.rmtree(home, ignore_errors=True)
            if mounted:
                _fill(disk / "filling")
            child = warm.start(small_run.words("run", "--resume"), disk, home, None if mounted else _no_file)
            outcome = warm.wait(child, home, small_run.PATIENCE_S)
            found = warm.violations(outcome, small_run.PATIENCE_S)
            if outcome.code != 2:
                found.append(f"exit code {outcome.code} on a full disk")
            count(f"full in {stage}", outcome, found)
            (disk / "filling").unlink(missing_ok=True)
            outcome = small_run.make(disk, home, "--resume")
            found = small_run.ended_as(whole, disk / "run", outcome)
            count(f"room again after {stage}", outcome, found)
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)
    return f"a tmpfs of {DISK_MIB} MiB" if mounted else "a limit of 0 bytes on files, for no tmpfs can be mounted here"


def _fill(path: Path) -> None:
    """Takes all room of the disk that `path` is on, but for SPARE bytes."""
    with open(path, "wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            file.truncate(max(os.path.getsize(path) - SPARE, 0))


def _no_file() -> None:
    """Every write to a file fails, as on a full disk; what is written to standard output goes to the same place."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SPARE, resource.RLIM_INFINITY))
