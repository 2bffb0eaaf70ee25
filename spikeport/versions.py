"""What reproducing a run needs: versions, machine, time and command. No host names, no folders."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def about_this_run() -> dict[str, Any]:
    """Versions, number of cores, kind of machine, UTC time and the command as typed, paths cut to their last part."""
    words = [os.path.basename(word) if os.path.isabs(word) else word for word in sys.argv[1:]]
    return {
        "versions": versions(),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "created_utc": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": " ".join(["spikeport", *words]),
    }
