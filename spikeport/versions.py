"""What reproducing a run needs: versions, machine, time and command. No host names, no folders."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

PACKAGES = (
    "spikeport",
    "torch",
    "snntorch",
    "nir",
    "numpy",
    "tonic",
    "pytorch-lightning",
    "onnxruntime",
    "h5py",
    "scikit-learn",
)


class About(TypedDict):
    """What reproducing a run needs.

    Attributes:
        versions: of Python and of the packages that results depend on.
        cores: number of cores; None where it is not known.
        machine: operating system and kind of processor.
        created_utc: time in UTC.
        command: the command as typed, paths cut to their last part.
    """

    versions: dict[str, str]
    cores: int | None
    machine: str
    created_utc: str
    command: str


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def about_this_run() -> About:
    """Versions, number of cores, kind of machine, UTC time and the command as typed, paths cut to their last part."""
    words = [os.path.basename(word) if os.path.isabs(word) else word for word in sys.argv[1:]]
    return {
        "versions": versions(),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "created_utc": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": " ".join(["spikeport", *words]),
    }
