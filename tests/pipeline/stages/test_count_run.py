"""A run on frames of counts: the student, the reference and Lava fire the same spikes, and operations are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikeport.export.formats.netx.write import read_netx
from spikeport.export.network.spike_trace import load_trace

RECIPE = """
name = "counts"
[data]
source = "digits"
height = 16
width = 18
steps = 3
step_us = 90_000
counts = 6
train = 60
validation = 20
test = 20
[student]
channels = [4, 6]
[training]
epochs = 2
[distillation]
method = "baseline"
[quantization]
epochs = 1
[check]
samples = 3
[profile]
baseline_seconds = 0.2
"""


@pytest.mark.lava
def test_counts_are_graded_input_of_the_chip(tmp_path: Path) -> None:
    (tmp_path / "counts.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "spikeport", "run", str(tmp_path / "counts.toml"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    pairs = report["equivalence"]["comparisons"]
    assert {pair: found["mismatches"] for pair, found in pairs.items()} == {
        "quantized_vs_reference": 0, "reference_vs_lava": 0,
    }  # fmt: skip
    assert pairs["quantized_vs_reference"]["spikes_compared"] > 100
    network = read_netx(tmp_path / "out/student.net")
    assert network.input_message_bits == 3
    frames = np.load(tmp_path / "out/test-frames.npz")["frames"]
    assert frames.shape == (20, 3, 2, 16, 18)
    assert frames.max() == 6
    trace = load_trace(tmp_path / "out/trace.npz")
    assert trace.counts is not None
    assert trace.counts.events_in[:, 0].tolist() == (frames > 0).sum((1, 2, 3, 4)).tolist()
    assert trace.counts.synops[:, 0].tolist() == _operations(frames).tolist()


def _operations(frames: np.ndarray) -> np.ndarray:
    """A graded event reaches the synapses of a convolution of 3 x 3 with stride 2, padding 1 and 4 channels once."""
    reached = np.zeros(frames.shape[3:], np.int64)
    height, width = ((side + 1) // 2 for side in reached.shape)
    for row in range(height):
        for column in range(width):
            ys, xs = (range(2 * n - 1, 2 * n + 2) for n in (row, column))
            for y in ys:
                for x in xs:
                    if 0 <= y < reached.shape[0] and 0 <= x < reached.shape[1]:
                        reached[y, x] += 4
    return ((frames > 0) * reached).sum((1, 2, 3, 4))
