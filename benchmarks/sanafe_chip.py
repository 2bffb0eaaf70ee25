"""Runs an integer network in SANA-FE, in an environment that has it: `python sanafe_chip.py NETWORK.npz`.

`sanafe.py` writes the file and reads the last line of the output: JSON, one object a sample. It imports nothing of
Spikeport, whose packages SANA-FE's environment does not have.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

INPUTS_PER_CORE = 1024


def main() -> None:
    arrays = np.load(sys.argv[1])
    print(json.dumps([run(arrays, sample) for sample in arrays["frames"]]))


def run(arrays: Any, sample: np.ndarray) -> dict[str, float]:
    """Energy in µJ, time in µs and counts of one sample `[T, inputs]`."""
    import sanafe

    arch, net = sanafe.load_loihi(), sanafe.Network()
    cores = [core for tile in arch.tiles for core in tile.cores]
    steps, inputs = sample.shape
    layers = int(arrays["layers"])
    before = net.create_neuron_group("input", inputs)
    first = 1 + max(int(arrays[f"core_{index}"].max()) for index in range(layers))
    for i in range(inputs):
        train = [bool(spike) for spike in sample[:, i]]
        place, unit = divmod(i, INPUTS_PER_CORE)
        before[i].set_attributes(soma_hw_name=f"loihi_inputs[{unit}]", model_attributes={"spikes": train})
        before[i].map_to_core(cores[first + place])
    for index in range(layers):
        before = add_layer(net, before, arrays, index, cores)
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    found = chip.sim(steps, perf_trace=True)
    energy, trace = found["energy"], found["perf_trace"]
    fired = float(sum(trace["fired"]))
    return {
        "spikes": fired,
        "synops": float(found["spikes"]),
        "active updates": float(sum(trace["updated"])) - float(sample.sum()),  # inputs that fire count as updated
        "messages": float(found["packets_sent"]),
        "hops": float(sum(trace["hops"])),
        "energy_uj": energy["total"] * 1e6,
        "time_us": found["sim_time"] * 1e6,
        **{f"{part}_uj": energy[part] * 1e6 for part in ("synapse", "soma", "network")},
    }


def add_layer(net: Any, before: Any, arrays: Any, index: int, cores: list[Any]) -> Any:
    """One layer with its synapses; returns its neurons."""
    threshold, bias, leak = (arrays[f"{key}_{index}"] for key in ("threshold", "bias", "leak"))
    kind = "conv" if arrays[f"conv_{index}"] else "dense"
    group = net.create_neuron_group(
        f"layer{index}",
        len(threshold),
        soma_hw_name="loihi_lif",
        default_synapse_hw_name=f"loihi_{kind}_synapse",
        model_attributes={"reset_mode": "hard", "reset": 0.0},
    )
    for i in range(len(threshold)):
        own = {"threshold": float(threshold[i]), "leak_decay": float(leak[i]), "bias": float(bias[i])}
        group[i].set_attributes(model_attributes=own)
        group[i].map_to_core(cores[int(arrays[f"core_{index}"][i])])
    table = arrays[f"synapses_{index}"]
    pairs = [(int(source), int(target)) for source, target, _ in table]
    before.connect_neurons_sparse(group, {"weight": [float(weight) for weight in table[:, 2]]}, pairs)
    return group


if __name__ == "__main__":
    main()
