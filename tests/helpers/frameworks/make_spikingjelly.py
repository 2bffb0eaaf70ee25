"""Networks as SpikingJelly writes them: python make_spikingjelly.py FOLDER. See common.py.

SpikingJelly fires at v >= threshold, the chip at v > threshold; the thresholds here are never met exactly.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nir
import numpy as np
import torch
from common import Cases, grid, odd, spikes
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir
from torch import nn

DT = 1e-4  # the exporter's default


def dense(weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Linear:
    made = layer.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    made.weight.data = torch.tensor(weight)
    if bias is not None:
        made.bias.data = torch.tensor(bias, dtype=torch.float32)
    return made


def conv(weight: np.ndarray, **options: object) -> nn.Conv2d:
    groups = options.get("groups", 1)
    made = layer.Conv2d(weight.shape[1] * groups, weight.shape[0], weight.shape[2:], bias=False, **options)
    made.weight.data = torch.tensor(weight)
    return made


def run(net: nn.Module, frames: np.ndarray) -> np.ndarray:
    rows = []
    with torch.no_grad():
        for sample in torch.tensor(frames, dtype=torch.float32):
            functional.reset_net(net)
            rows.append(torch.stack([net(step[None])[0].flatten() for step in sample]))
    functional.reset_net(net)
    return torch.stack(rows).numpy()


def main(folder: Path) -> None:
    cases = Cases("spikingjelly", folder, ("spikingjelly", "nirtorch", "nir", "torch"))
    rng = np.random.default_rng(4)
    frames = spikes(rng, 3, 24, 5, density=0.5)

    def add(name: str, construct: str, net: nn.Module, frames: np.ndarray = frames, **metadata: object) -> None:
        def export() -> nir.NIRGraph:
            return export_to_nir(net, torch.zeros(1, *frames.shape[2:]))

        cases.add(name, construct, export, frames=frames, made=run(net, frames), **{"dt_s": DT, **metadata})

    add("if", "Linear, IFNode", nn.Sequential(
        dense(grid(rng, 7, 5)), neuron.IFNode(v_threshold=odd(361)),
        dense(grid(rng, 3, 7), np.array([4, -6, 10]) / 128), neuron.IFNode(v_threshold=odd(401)),
    ))  # fmt: skip
    cases.again("if_no_dt", "the same, dt not given", of="if", dt_s=None)
    add("lif", "Linear, LIFNode(decay_input=True), its default", nn.Sequential(
        dense(grid(rng, 7, 5)), neuron.LIFNode(tau=2.0, v_threshold=odd(261) / 2),
        dense(grid(rng, 3, 7), np.array([4, -6, 10]) / 128), neuron.LIFNode(tau=4.0, v_threshold=odd(201) / 4),
    ))  # fmt: skip
    add("lif_no_decay", "Linear, LIFNode(decay_input=False)", nn.Sequential(
        dense(grid(rng, 7, 5)), neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=odd(361)),
    ))  # fmt: skip
    add("lif_odd_tau", "Linear, LIFNode, decay off the 12-bit grid", nn.Sequential(
        dense(grid(rng, 12, 5)), neuron.LIFNode(tau=5.0, v_threshold=0.4),
    ), spikes(rng, 8, 200, 5, density=0.5))  # fmt: skip
    met = nn.Sequential(dense(np.array([[127, 64, -64, 32, 16], [64, 64, 32, -32, 8]], np.float32) / 128),
                        neuron.IFNode(v_threshold=0.5))  # fmt: skip
    add("if_met", "Linear, IFNode whose voltage meets the threshold exactly", met,
        note="SpikingJelly fires at v >= threshold, Loihi at v > threshold")  # fmt: skip
    add("plif", "Linear, ParametricLIFNode", nn.Sequential(
        dense(grid(rng, 7, 5)), neuron.ParametricLIFNode(init_tau=2.0, v_threshold=odd(261) / 2),
    ))  # fmt: skip
    add("cubalif", "Linear, CUBALIFNode", nn.Sequential(
        dense(grid(rng, 6, 5)), neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75, v_threshold=odd(801)),
    ))  # fmt: skip
    pictures = spikes(rng, 2, 16, 2, 9, 7, density=0.4)
    add("conv", "Conv2d (stride, padding), AvgPool2d, Flatten, Linear, IFNode", nn.Sequential(
        conv(grid(rng, 4, 2, 3, 3), stride=(2, 1), padding=(1, 0)), neuron.IFNode(v_threshold=odd(301)),
        layer.AvgPool2d((2, 1)), conv(grid(rng, 3, 4, 2, 2)), neuron.IFNode(v_threshold=odd(601) / 2),
        layer.Flatten(), dense(grid(rng, 5, 12)), neuron.IFNode(v_threshold=odd(301)),
    ), pictures)  # fmt: skip
    add("conv_3x2", "Conv2d with a 3x2 kernel", nn.Sequential(
        conv(grid(rng, 4, 2, 3, 2)), neuron.IFNode(v_threshold=odd(301)),
    ), pictures)  # fmt: skip
    add("groups", "Conv2d with groups", nn.Sequential(
        conv(grid(rng, 4, 1, 3, 3), groups=2), neuron.IFNode(v_threshold=odd(301)),
    ), pictures)  # fmt: skip
    add("soft_reset", "IFNode(v_reset=None), soft reset", nn.Sequential(
        dense(grid(rng, 7, 5)), neuron.IFNode(v_threshold=odd(361), v_reset=None),
    ))  # fmt: skip
    add("v_reset", "Linear, LIFNode(v_reset=-0.5)", nn.Sequential(
        dense(grid(rng, 7, 5)), neuron.LIFNode(tau=2.0, v_threshold=odd(261) / 2, v_reset=-0.5),
    ), note="v starts at v_reset in SpikingJelly, too")  # fmt: skip
    add("nested", "Sequential inside Sequential", nn.Sequential(
        nn.Sequential(dense(grid(rng, 7, 5)), neuron.IFNode(v_threshold=odd(361))),
        nn.Sequential(dense(grid(rng, 3, 7)), neuron.IFNode(v_threshold=odd(301))),
    ))  # fmt: skip
    recurrent = nn.Sequential(
        dense(grid(rng, 6, 5)),
        layer.LinearRecurrentContainer(neuron.IFNode(v_threshold=odd(361)), in_features=6, out_features=6, bias=False),
    )
    add("recurrent", "LinearRecurrentContainer", recurrent)
    pool = nn.Sequential(conv(grid(rng, 4, 2, 3, 3)), neuron.IFNode(), layer.MaxPool2d(2))
    add("maxpool", "MaxPool2d", pool, pictures)
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
