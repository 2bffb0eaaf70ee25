"""Recordings of large sensors, as files of cameras, become a network that Lava runs alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import big_sensors
import numpy as np
import pytest
import torch

from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.run.recipe_file import load_recipe

SHORT = ["--epochs", "1", "--set", "quantization.epochs=1", "--set", "profile.baseline_seconds=0.2"]
CASES = {
    "whole DAVIS346": big_sensors.Case("aedat4", (346, 260), (346, 260), (2, 3, 4, 6, 8), 60_000, (4, 2), 1),
    "scaled 1280 x 720": big_sensors.Case("h5", (1280, 720), (128, 72), (3, 4), 30_000, (4, 2), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_that_numpy_makes_of_the_events(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    found = load_dataset(load_recipe(big_sensors.write_case(case, tmp_path)), cache=tmp_path / "cache")
    assert found.test.keys[:2] == ("test/disc/00", "test/disc/01")
    width, height = case.frame
    for row, key in enumerate(found.test.keys):
        label, number = row // 2, row % 2
        events = big_sensors.events_of(label, 1000 + number, case.sensor, case.events)
        expected = np.zeros((5, 2, height, width), np.uint8)
        y = events["y"].astype(int) * height // case.sensor[1]
        x = events["x"].astype(int) * width // case.sensor[0]
        expected[(events["t"] - events["t"][0]) // 40_000, events["p"], y, x] = 1
        np.testing.assert_array_equal(found.test.frames[row], expected, err_msg=key)


@pytest.mark.lava
@pytest.mark.parametrize("name", CASES)
def test_a_run_ends_without_a_mismatch(tmp_path: Path, name: str) -> None:
    recipe = big_sensors.write_case(CASES[name], tmp_path)
    command = [sys.executable, "-m", "spikeport", "run", str(recipe), "--out", str(tmp_path / "out"), *SHORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    pairs = json.loads((tmp_path / "out/report.json").read_text())["equivalence"]["comparisons"]
    assert {pair: found["mismatches"] for pair, found in pairs.items()} == {
        "quantized_vs_reference": 0, "reference_vs_lava": 0,
    }  # fmt: skip
    assert all(found["spikes_compared"] > 100 for found in pairs.values())


def test_too_many_inputs_say_how_to_have_fewer() -> None:
    """A readout of a whole large frame: 70 weight units from each of 2,000 inputs are over 2^17."""
    neurons = LoihiLeaky(0.9, 1.0, numerics="loihi", scale=1.0)
    with pytest.raises(
        Exception, match=r"current reaches 140000 .*wraps at 131072.*one more number in student.channels"
    ):
        neurons(torch.full((3, 2, 5), 70.0 * 2_000))
