"""Known networks for several tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.hardware_profiles.profile import HardwareProfile, load_profile
from spikeport.pipeline.profiling.counts import Activity, count_activity
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies
from spikeport.pipeline.profiling.energy.summarize import summarize

MEMORYLESS = {"i_decay": 4096, "v_decay": 4096}


def known_network() -> IntegerNetwork:
    """3 -> 2 -> 1 without memory and without zero weights: its spikes follow from sums of the weights."""
    hidden = np.array([[2, 2, 2], [4, 6, 4]])
    output = np.array([[2, 4]])
    first = IntegerLayer(
        name="hidden", kind="dense", weight=hidden, bias=None, vth_mant=5, input_shape=(3,), **MEMORYLESS
    )
    last = IntegerLayer(
        name="output", kind="dense", weight=output, bias=None, vth_mant=5, input_shape=(2,), **MEMORYLESS
    )
    return IntegerNetwork(input_shape=(3,), layers=(first, last))


def known_activity() -> Activity:
    frames = np.array([[[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]], dtype=np.uint8)
    trace = simulate(known_network(), frames, keep_layers=True)
    assert trace.layer_spikes is not None
    assert trace.layer_spikes[0].tolist() == [[[0, 1], [0, 0], [1, 1], [0, 1]]]
    assert trace.spikes.tolist() == [[[0], [0], [1], [0]]]
    return count_activity(known_network(), trace)


def conv_network() -> IntegerNetwork:
    rng = np.random.default_rng(3)
    conv = IntegerLayer(
        name="conv",
        kind="conv",
        weight=2 * rng.integers(-40, 60, (3, 2, 3, 2)),
        bias=None,
        i_decay=4096,
        v_decay=1024,
        vth_mant=90,
        input_shape=(2, 7, 6),
        padding=(1, 0),
        stride=(2, 1),
    )
    dense = IntegerLayer(
        name="dense",
        kind="dense",
        weight=2 * rng.integers(-20, 30, (4, conv.neurons)),
        bias=None,
        i_decay=4096,
        v_decay=512,
        vth_mant=60,
        input_shape=conv.output_shape,
    )
    return IntegerNetwork(input_shape=(2, 7, 6), layers=(conv, dense))


def conv_frames(samples: int = 5, steps: int = 4) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.random((samples, steps, 2, 7, 6)) < 0.3).astype(np.uint8)


def conv_activity(frames: np.ndarray) -> Activity:
    return count_activity(conv_network(), simulate(conv_network(), frames))


def placed(*cores: int, tiles: int | None = 1, chips: int = 1) -> Placement:
    """A placement for an oracle: cores of each layer, in so many tiles."""
    return Placement(
        names=tuple(f"layer {index}" for index in range(len(cores))),
        cores=cores,
        filled_by=("",) * len(cores),
        cores_per_chip=128,
        tiles=tiles,
        chips=chips,
        at_least=False,
        passes=True,
        summary="passes",
    )


def write_profile(folder: Path, energies: dict[str, float], accounting: str = "", more: str = "") -> HardwareProfile:
    text = (
        'schema = "snn-energy-profile/1"\n[device]\nid = "mine"\nname = "Mine"\nkind = "neuromorphic"\n'
        f'source = "a table"\n[accounting]\nscope = "incremental"\n{accounting}\n'
    )
    for op, value in energies.items():
        text += f'[[energy]]\nop = "{op}"\nunit = "pJ"\nvalue = {value}\nstatus = "measured"\nsource = "a table"\n'
    (folder / "mine.toml").write_text(text + more)
    return load_profile(folder / "mine.toml")


def energy_row(energies: SampleEnergies) -> dict[str, Any]:
    """The estimate as report.json contains it."""
    return summarize(energies).to_json()
