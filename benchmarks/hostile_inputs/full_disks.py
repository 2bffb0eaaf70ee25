"""Fills the disk in every stage of a small run. The command must print one error line and exit with 2. With free space
again, the resumed run must give the same bytes as an undisturbed run.
"""

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
SPARE = 4096  # free bytes of the disk


def starved(folder: Path, whole: Path, count: Count) -> str:
    """Runs each stage without free space, and then with free space.

    Args:
        folder: folder for the runs.
        whole: the undisturbed run.
        count: called with the name, the result and the faults of each process.

    Returns:
        How the disk was filled.
    """
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
    return (
        f"a tmpfs of {DISK_MIB} MiB" if mounted else "a limit of 0 bytes on files, since no tmpfs can be mounted here"
    )


def _fill(path: Path) -> None:
    """Fills the disk of `path` up to SPARE bytes."""
    with open(path, "wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            file.truncate(max(os.path.getsize(path) - SPARE, 0))


def _no_file() -> None:
    """Lets every write to a file fail, as on a full disk. Standard output is such a file too."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SPARE, resource.RLIM_INFINITY))
