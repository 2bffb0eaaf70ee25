"""Runs the script that export writes beside a .net file, in the environment of Lava."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from spikeport.export.backends.lava import environment
from spikeport.export.backends.lava.script import lava_script
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerNetwork


def run_script(
    network: IntegerNetwork, frames: np.ndarray, classes: np.ndarray, folder: Path
) -> tuple[dict[str, np.ndarray], str]:
    """Arrays that the script wrote, and what it printed.

    Args:
        network: the network, which is written to `folder`.
        frames: `[N, T, *input_shape]`.
        classes: expected classes `[N]`, its labels.
        folder: an empty folder.
    """
    write_netx(network, folder / "n.net")
    write_frames(folder / "frames.npz", frames, classes)
    (folder / "run_in_lava.py").write_text(lava_script(network, "n.net"))
    done = subprocess.run([environment.interpreter(), "-P", "run_in_lava.py"], cwd=folder, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "spikes.npz", allow_pickle=False) as archive:
        return dict(archive), done.stdout
