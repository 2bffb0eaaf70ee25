"""Networks as Sinabs writes them: python make_sinabs.py FOLDER. See common.py.

Sinabs counts tau in steps and decays by exp(-1/tau); its files say neither, nor how a neuron resets.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import nir
import numpy as np
import sinabs.layers as sl
import torch
from common import Cases, grid, odd, spikes
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.from_torch import from_model
from sinabs.nir import to_nir
from torch import nn

ZERO = {"spike_fn": SingleSpike, "reset_fn": MembraneReset()}


def dense(weight: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = torch.tensor(weight)
    return layer


def conv(weight: np.ndarray, **options: object) -> nn.Conv2d:
    groups = options.get("groups", 1)
    layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], weight.shape[2:], bias=False, **options)
    layer.weight.data = torch.tensor(weight)
    return layer


def run(net: nn.Module, frames: np.ndarray) -> np.ndarray:
    """[N, T, K]: each sample alone, its steps as Sinabs's "squeezed" batch."""
    rows = []
    with torch.no_grad():
        for sample in torch.tensor(frames, dtype=torch.float32):
            for module in net.modules():
                if isinstance(module, sl.StatefulLayer):
                    module.reset_states()
            rows.append(net(sample).reshape(len(sample), -1))
    return torch.stack(rows).numpy()


def iaf(threshold: float, **options: object) -> sl.IAFSqueeze:
    return sl.IAFSqueeze(batch_size=1, spike_threshold=torch.tensor(threshold), **{**ZERO, **options})


def main(folder: Path) -> None:
    cases = Cases("sinabs", folder, ("sinabs", "nirtorch", "nir", "torch"))
    rng = np.random.default_rng(3)

    def convolutions(**options: object) -> nn.Sequential:
        weights = np.random.default_rng(30)
        return nn.Sequential(
            conv(grid(weights, 6, 2, 3, 3), stride=(2, 1), padding=(1, 0)), iaf(odd(301), **options),
            sl.SumPool2d((2, 2)), conv(grid(weights, 4, 3, 2, 2), groups=2), iaf(odd(401), **options),
            sl.SumPool2d((1, 2)), nn.Flatten(), dense(grid(weights, 5, 8)), iaf(odd(301), **options),
        )  # fmt: skip

    frames = spikes(rng, 2, 16, 2, 10, 12, density=0.4)
    net = convolutions()
    made = run(net, frames)
    sample = torch.zeros(1, 2, 10, 12)
    cases.add("conv_untyped", "Conv2d", lambda: to_nir(net, sample))

    def typed(module: nn.Module) -> nir.NIRGraph:
        graph = to_nir(module, sample)
        graph.infer_types()  # gives the convolutions their input_shape, without which nir.write fails
        return graph

    cases.add(
        "conv", "Conv2d (stride, padding, groups), IAF, SumPool2d, Flatten, Linear; infer_types() before nir.write",
        lambda: typed(net),
        frames=frames, made=made, dt_s=1e-3, if_gain="per_step",
        note="dt is free: an IF with r per step has no time; IAF(spike_fn=SingleSpike, reset_fn=MembraneReset())",
    )  # fmt: skip
    cases.again("conv_if_gain", "the same, r of IF not settled", of="conv", if_gain=None)
    default = convolutions(spike_fn=sl.IAF().spike_fn, reset_fn=sl.IAF().reset_fn)
    cases.add(
        "conv_default", "the same with Sinabs's defaults: MultiSpike, MembraneSubtract",
        lambda: typed(default), frames=frames, made=run(default, frames), dt_s=1e-3, if_gain="per_step",
        reset="subtract",
    )  # fmt: skip

    frames = spikes(rng, 3, 24, 5, density=0.5)
    ann = nn.Sequential(dense(grid(rng, 7, 5)), nn.ReLU(), dense(grid(rng, 3, 7)), nn.ReLU())
    net_ann = from_model(ann, input_shape=(5,), batch_size=1, spike_threshold=odd(361), **ZERO).spiking_model
    made = run(net_ann, frames)
    cases.add("from_model", "from_model(Linear, ReLU, ...)", lambda: to_nir(net_ann, torch.zeros(1, 5)), frames=frames,
              made=made, dt_s=1e-3, if_gain="per_step")  # fmt: skip

    tau = 3.0  # a step keeps exp(-1/tau) = 0.7165
    lif = lambda threshold: sl.LIFSqueeze(  # noqa: E731
        tau_mem=tau, batch_size=1, spike_threshold=torch.tensor(threshold), norm_input=True, **ZERO
    )
    net_lif = nn.Sequential(dense(grid(rng, 7, 5)), lif(0.4), dense(grid(rng, 3, 7)), lif(0.35))
    many = spikes(rng, 8, 200, 5, density=0.5)
    made = run(net_lif, many)
    cases.add(
        "lif", "Linear, LIF", lambda: to_nir(net_lif, torch.zeros(1, 5)), frames=many, made=made,
        dt_s=tau * (1 - math.exp(-1 / tau)),
        note="dt is tau (1 - exp(-1/tau)), in Sinabs's unit, one step: Euler then decays as Sinabs does",
    )  # fmt: skip
    cases.again("lif_dt_1", "the same, dt = 1 step", of="lif", dt_s=1.0)
    synaptic = nn.Sequential(
        dense(grid(rng, 6, 5)), sl.LIFSqueeze(tau_mem=tau, tau_syn=tau, batch_size=1, norm_input=False, **ZERO)
    )
    cases.add(
        "lif_tau_syn", "Linear, LIF(tau_syn)", lambda: to_nir(synaptic, torch.zeros(1, 5)), frames=frames,
        made=run(synaptic, frames), dt_s=tau * (1 - math.exp(-1 / tau)),
        note="the exporter leaves out tau_syn and norm_input=False: the file is another network",
    )  # fmt: skip
    leak = nn.Sequential(
        dense(grid(rng, 7, 5)), lif(0.4), dense(grid(rng, 3, 7)),
        sl.ExpLeakSqueeze(tau_mem=tau, batch_size=1, norm_input=True),
    )  # fmt: skip
    cases.add(
        "expleak", "Linear, LIF, Linear, ExpLeak read-out", lambda: to_nir(leak, torch.zeros(1, 5)), frames=frames,
        made=run(leak, frames), what="membrane", dt_s=tau * (1 - math.exp(-1 / tau)),
    )  # fmt: skip
    nested = nn.Sequential(
        nn.Sequential(dense(grid(rng, 7, 5)), iaf(odd(361))), nn.Sequential(dense(grid(rng, 3, 7)), iaf(odd(201)))
    )
    made = run(nested, frames)
    cases.add("nested", "Sequential inside Sequential", lambda: to_nir(nested, torch.zeros(1, 5)), frames=frames,
              made=made, dt_s=1e-3, if_gain="per_step")  # fmt: skip
    average = nn.Sequential(conv(grid(rng, 4, 2, 3, 3)), iaf(odd(301)), nn.AvgPool2d(2), conv(grid(rng, 3, 4, 2, 2)),
                            iaf(odd(301)))  # fmt: skip
    run(average, spikes(rng, 1, 2, 2, 10, 12))
    cases.add("avgpool", "AvgPool2d", lambda: to_nir(average, sample))
    recurrent = nn.Sequential(
        dense(grid(rng, 6, 5)),
        sl.LIFRecurrent(tau_mem=tau, rec_connect=dense(grid(rng, 6, 6)), **ZERO),
    )
    cases.add("recurrent", "LIFRecurrent", lambda: to_nir(recurrent, torch.zeros(1, 1, 5)))
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
