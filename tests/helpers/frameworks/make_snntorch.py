"""Networks as snnTorch writes them: python make_snntorch.py FOLDER. See common.py."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from common import Cases, grid, odd, spikes
from snntorch.export_nir import export_to_nir
from torch import nn

DT = 1e-4  # hard-coded in snntorch/export_nir.py


def dense(weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = torch.tensor(weight)
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float32)
    return layer


def conv(weight: np.ndarray, **options: object) -> nn.Conv2d:
    groups = options.get("groups", 1)
    layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], weight.shape[2:], bias=False, **options)
    layer.weight.data = torch.tensor(weight)
    return layer


def leaky(shape: tuple[int, ...], beta: float, threshold: float, **options: object) -> snn.Leaky:
    return snn.Leaky(
        beta=torch.full(shape, beta), threshold=torch.full(shape, threshold), reset_mechanism="zero",
        init_hidden=True, **options,
    )  # fmt: skip


def run(net: nn.Sequential, frames: np.ndarray) -> np.ndarray:
    """[N, T, K] spikes, one sample after the other, every cell started at zero (snnTorch's own utils.reset)."""
    from snntorch import utils

    rows = []
    with torch.no_grad():
        for sample in torch.tensor(frames, dtype=torch.float32):
            utils.reset(net)
            rows.append(torch.stack([net(step[None])[0].flatten() for step in sample]))
    return torch.stack(rows).numpy()


def export(net: nn.Sequential, shape: tuple[int, ...]):
    return lambda: export_to_nir(net, torch.zeros(1, *shape), ignore_dims=[0])


def main(folder: Path) -> None:
    cases = Cases("snntorch", folder, ("snntorch", "nirtorch", "nir", "torch"))
    rng = np.random.default_rng(1)

    net = nn.Sequential(
        dense(grid(rng, 7, 5)), leaky((7,), 0.5, odd(261)),
        dense(grid(rng, 3, 7), np.array([4, -6, 10]) / 128), leaky((3,), 0.75, odd(401)),
    )  # fmt: skip
    frames = spikes(rng, 3, 24, 5, density=0.5)
    cases.add("leaky", "Linear, Leaky", export(net, (5,)), frames=frames, made=run(net, frames), dt_s=DT)
    cases.again("leaky_inferred", "the same, dt not given", of="leaky", dt_s=None)
    batch = lambda: export_to_nir(net, torch.zeros(1, 5))  # noqa: E731
    cases.add(
        "leaky_batch", "Linear, Leaky, exported without ignore_dims=[0]", batch, frames=frames, made=run(net, frames)
    )

    net = nn.Sequential(dense(grid(rng, 6, 4)), leaky((6,), 1.0, odd(301)))
    frames = spikes(rng, 3, 24, 4, density=0.5)
    cases.add("leaky_beta_1", "Linear, Leaky(beta=1)", export(net, (4,)), frames=frames, made=run(net, frames), dt_s=DT)

    many = spikes(rng, 8, 200, 4, density=0.5)
    net = nn.Sequential(dense(grid(rng, 12, 4)), leaky((12,), 0.93, odd(401)))
    cases.add("leaky_odd_beta", "Linear, Leaky, decay off the 12-bit grid", export(net, (4,)), frames=many,
              made=run(net, many), dt_s=DT)  # fmt: skip

    net = nn.Sequential(
        conv(grid(rng, 4, 2, 3, 2), stride=(2, 1), padding=(1, 0)), leaky((4, 5, 6), 0.5, odd(301)),
        nn.AvgPool2d((2, 2)), conv(grid(rng, 6, 2, 1, 2), groups=2), leaky((6, 2, 2), 0.5, odd(101)),
        nn.Flatten(), dense(grid(rng, 5, 24)), leaky((5,), 0.5, odd(301)),
    )  # fmt: skip
    frames = spikes(rng, 2, 16, 2, 9, 7, density=0.4)
    cases.add(
        "conv_3x2", "Conv2d (stride, padding, 3x2 kernel, groups), AvgPool2d, Flatten, Linear, Leaky",
        export(net, (2, 9, 7)), frames=frames, made=run(net, frames), dt_s=DT,
    )  # fmt: skip

    net = nn.Sequential(
        conv(grid(rng, 4, 2, 3, 3), stride=(2, 1), padding=(1, 0)), leaky((4, 5, 5), 0.5, odd(301)),
        nn.AvgPool2d((2, 2)), conv(grid(rng, 6, 2, 1, 1), groups=2), leaky((6, 2, 2), 0.5, odd(245) / 4),
        nn.Flatten(), dense(grid(rng, 5, 24)), leaky((5,), 0.5, odd(301)),
    )  # fmt: skip
    cases.add(
        "conv", "Conv2d (stride, padding, groups), AvgPool2d, Flatten, Linear, Leaky", export(net, (2, 9, 7)),
        frames=frames, made=run(net, frames), dt_s=DT,
    )  # fmt: skip

    synaptic = snn.Synaptic(
        alpha=torch.full((6,), 0.5), beta=torch.full((6,), 0.75), threshold=torch.full((6,), odd(801)),
        reset_mechanism="zero", reset_delay=False, init_hidden=True,
    )  # fmt: skip
    net = nn.Sequential(dense(grid(rng, 6, 4)), synaptic)
    frames = spikes(rng, 3, 24, 4, density=0.5)
    cases.add("synaptic", "Linear, Synaptic", export(net, (4,)), frames=frames, made=run(net, frames), dt_s=DT)

    biased = nn.Sequential(dense(grid(rng, 6, 4), np.arange(1, 7) / 128), synaptic)
    cases.add(
        "synaptic_bias", "Linear with bias, Synaptic", export(biased, (4,)), frames=frames, made=run(biased, frames),
        dt_s=DT,
    )  # fmt: skip
    cases.again("synaptic_bias_unit", "the same, bias as a bias neuron", of="synaptic_bias", bias="neuron")

    recurrent = snn.RLeaky(
        beta=torch.full((6,), 0.5), threshold=torch.full((6,), odd(301)), reset_mechanism="zero", reset_delay=False,
        all_to_all=True, linear_features=6, init_hidden=True,
    )  # fmt: skip
    recurrent.recurrent.weight.data = torch.tensor(grid(rng, 6, 6, low=-60, high=40))
    recurrent.recurrent.bias.data = torch.zeros(6)
    net = nn.Sequential(dense(grid(rng, 6, 4)), recurrent, dense(grid(rng, 3, 6)), leaky((3,), 0.5, odd(201)))
    cases.add(
        "rleaky", "Linear, RLeaky (all to all), Linear, Leaky", export(net, (4,)), frames=frames,
        made=run(net, frames), dt_s=DT,
    )  # fmt: skip

    net = nn.Sequential(dense(grid(rng, 6, 4)), leaky((6,), 0.5, odd(301)))
    net[1].beta = torch.tensor([0.0, 0.25, 0.5, 0.75, 0.875, 0.5])
    made = run(net, frames)
    cases.add("leaky_vector", "Linear, Leaky with a beta per neuron", export(net, (4,)), frames=frames, made=made,
              dt_s=DT)  # fmt: skip
    cases.again("leaky_vector_allowed", "the same, allowed", of="leaky_vector", allow_vector=True)

    net = nn.Sequential(dense(grid(rng, 6, 4)), leaky((6,), 0.5, odd(301)))
    subtract = nn.Sequential(net[0], snn.Leaky(beta=torch.full((6,), 0.5), threshold=torch.full((6,), odd(301)),
                                               reset_mechanism="subtract", init_hidden=True))  # fmt: skip
    cases.add(
        "leaky_subtract", "Linear, Leaky(reset_mechanism='subtract'), snnTorch's default", export(subtract, (4,)),
        frames=frames, made=run(subtract, frames), dt_s=DT, reset="subtract",
    )  # fmt: skip

    scalar = nn.Sequential(dense(grid(rng, 6, 4)), snn.Leaky(beta=0.5, reset_mechanism="zero", init_hidden=True))
    cases.add("leaky_scalar", "Linear, Leaky with scalar beta and threshold, its default", export(scalar, (4,)),
              frames=frames, made=run(scalar, frames), dt_s=DT)  # fmt: skip
    pooled = nn.Sequential(
        conv(grid(rng, 3, 2, 3, 3)), leaky((3, 5, 4), 0.5, odd(301)), nn.MaxPool2d(2), nn.Flatten(),
        dense(grid(rng, 3, 12)), leaky((3,), 0.5, odd(301)),
    )  # fmt: skip
    frames = spikes(rng, 2, 12, 2, 7, 6)
    cases.add("maxpool", "MaxPool2d", export(pooled, (2, 7, 6)), frames=frames, made=run(pooled, frames), dt_s=DT)
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
