"""Networks as Nengo runs them: python make_nengo.py FOLDER. See common.py.

Nengo has no exporter on PyPI. The files here follow the example of NIR's documentation: a LIF has tau = tau_rc, r = 1
and the threshold 1, weights and biases are those of the connections, and a spike has the height 1 / dt.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import nengo
import nir
import numpy as np
from common import Cases, grid, odd, spikes

DT = 1e-3
TAU = 0.02
START = nengo.dists.Choice([0])  # Nengo's default is random
LOWEST = -1e6  # the chip's voltages have no floor; Nengo's default is 0

Layers = list[tuple[np.ndarray, np.ndarray]]


def run(layers: Layers, frames: np.ndarray, lowest: float) -> np.ndarray:
    """[N, T, K]: frames are the values of a node; connections have no synapse."""
    rows = []
    for sample in frames:
        with nengo.Network(seed=0) as net:
            before = nengo.Node(lambda t, sample=sample: sample[min(round(t / DT) - 1, len(sample) - 1)])
            for weight, bias in layers:
                cells = nengo.Ensemble(
                    len(weight), 1,
                    neuron_type=nengo.LIF(tau_rc=TAU, tau_ref=0, min_voltage=lowest, initial_state={"voltage": START}),
                    gain=np.ones(len(weight)), bias=bias,
                )  # fmt: skip
                nengo.Connection(before, cells.neurons, transform=weight, synapse=None)
                before = cells.neurons
            probe = nengo.Probe(before)
        with nengo.Simulator(net, dt=DT, progress_bar=False) as simulator:
            simulator.run_steps(len(sample))
        rows.append(simulator.data[probe] * DT)
    return np.round(np.array(rows))


def exported(layers: Layers) -> nir.NIRGraph:
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array([layers[0][0].shape[1]])})}
    for index, (weight, bias) in enumerate(layers):
        one = np.ones(len(weight))
        nodes[f"weight{index}"] = nir.Affine(weight, bias)
        nodes[f"lif{index}"] = nir.LIF(tau=TAU * one, r=one, v_leak=0 * one, v_threshold=one)
    nodes["output"] = nir.Output({"output": np.array([len(layers[-1][0])])})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)))


def main(folder: Path) -> None:
    cases = Cases("nengo", folder, ("nengo", "nir"))
    rng = np.random.default_rng(8)
    frames = spikes(rng, 3, 40, 5, density=0.5)
    lost = 1 - np.exp(-DT / TAU)
    layers = [
        (grid(rng, 7, 5) / odd(257) / lost, np.zeros(7)),
        (grid(rng, 3, 7) / odd(257) / lost * DT, np.array([0.5, -0.25, 1.5])),
    ]
    for name, construct, lowest, note in (
        ("lif", "LIF(tau_ref=0, min_voltage far below 0), two layers", LOWEST, ""),
        (
            "lif_floor",
            "the same with Nengo's default min_voltage=0",
            0.0,
            "voltages below min_voltage are lifted to it",
        ),
    ):
        cases.add(name, construct, lambda: exported(layers), frames=frames, made=run(layers, frames, lowest),
                  framework="nengo", note=note)  # fmt: skip
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
