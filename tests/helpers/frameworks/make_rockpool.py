"""Networks as Rockpool writes them: python make_rockpool.py FOLDER. See common.py.

Rockpool's neurons always reset by subtraction and may fire more than once a step; its files say neither.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from common import Cases, grid, spikes
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch.exp_syn_torch import ExpSynTorch
from rockpool.nn.modules.torch.nir import to_nir

DT = 1e-3


def linear(weight: np.ndarray) -> LinearTorch:
    return LinearTorch(weight.T.shape, weight=torch.tensor(weight.T.copy()), has_bias=False)


def run(net: torch.nn.Module, frames: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        rows = []
        for sample in frames:
            net.reset_state()  # else it goes on from the state after the sample before
            rows.append(net(torch.tensor(sample[None], dtype=torch.float32))[0][0])
    return torch.stack(rows).numpy()


def lif(size: int, **options: object) -> LIFTorch:
    return LIFTorch(size, tau_mem=torch.tensor(4e-3), tau_syn=torch.tensor(2e-3), bias=torch.tensor(0.0),
                    threshold=torch.tensor(1.0), dt=DT, **options)  # fmt: skip


def main(folder: Path) -> None:
    cases = Cases("rockpool", folder, ("rockpool", "nirtorch", "nir", "torch"))
    rng = np.random.default_rng(5)
    frames = spikes(rng, 3, 24, 5, density=0.5)
    net = Sequential(linear(grid(rng, 7, 5)), lif(7), linear(grid(rng, 3, 7)), lif(3))
    made = run(net, frames)
    cases.add(
        "lif",
        "Linear, LIFTorch",
        lambda: to_nir(net),
        frames=frames,
        made=made,
        dt_s=DT,
        reset="subtract",
    )
    cases.again("lif_zero", "the same, claimed to reset to zero", of="lif", reset="zero",
                note="r and w_in of the file also mean another gain than Rockpool's")  # fmt: skip
    neuron = Sequential(linear(grid(rng, 7, 5)), LIFNeuronTorch(
        7, tau_mem=torch.tensor(4e-3), bias=torch.tensor(0.0), threshold=torch.tensor(1.0), dt=DT))  # fmt: skip
    cases.add("lif_neuron", "Linear, LIFNeuronTorch", lambda: to_nir(neuron), frames=frames, made=run(neuron, frames),
              dt_s=DT, reset="subtract")  # fmt: skip
    cases.again("lif_neuron_zero", "the same, claimed to reset to zero", of="lif_neuron", reset="zero")
    recurrent = Sequential(linear(grid(rng, 6, 5)), lif(6, has_rec=True, w_rec=torch.tensor(grid(rng, 6, 6) / 8)))
    cases.add("recurrent", "LIFTorch(has_rec=True)", lambda: to_nir(recurrent), frames=frames,
              made=run(recurrent, frames), dt_s=DT, reset="subtract",
              note="the exporter leaves out the recurrent weights")  # fmt: skip
    syn = Sequential(linear(grid(rng, 7, 5)), lif(7), linear(grid(rng, 3, 7)), ExpSynTorch(3, dt=DT))
    cases.add("expsyn", "Linear, LIFTorch, Linear, ExpSynTorch read-out", lambda: to_nir(syn), frames=frames,
              made=run(syn, frames), what="membrane", dt_s=DT, reset="subtract")  # fmt: skip
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
