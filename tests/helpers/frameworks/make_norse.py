"""Networks as Norse writes them: python make_norse.py FOLDER. See common.py.

Norse's exporter writes tau as dt divided by tau_inv, so a file made with its default dt = 1e-3 tells every tau a
thousand times too short; the step that undoes it is dt squared, 1e-6 s.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import nir
import norse.torch as norse
import numpy as np
import torch
from common import Cases, grid, odd, spikes
from norse.torch.module.iaf import IAFCell
from norse.torch.utils.export_nir import to_nir
from torch import nn

DT = 1e-3


def dense(weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = torch.tensor(weight)
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float32)
    return layer


def conv(weight: np.ndarray, bias: bool = True, **options: object) -> nn.Conv2d:
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=bias, **options)
    layer.weight.data = torch.tensor(weight)
    if bias:
        layer.bias.data = torch.zeros(weight.shape[0])
    return layer


def lif(shape: tuple[int, ...], decay: float, threshold: float) -> norse.LIFBoxCell:
    """LIFBoxCell (a LIF without synaptic current) whose voltage loses `decay` a step; () for scalar parameters."""
    full = functools.partial(torch.full, shape)
    parameters = norse.LIFBoxParameters(tau_mem_inv=full(decay / DT), v_th=full(threshold), v_leak=full(0.0))
    return norse.LIFBoxCell(parameters, dt=DT)


def run(net: norse.SequentialState, frames: np.ndarray) -> np.ndarray:
    rows = []
    with torch.no_grad():
        for sample in torch.tensor(frames, dtype=torch.float32):
            state, out = None, []
            for step in sample:
                made, state = net(step[None], state)
                out.append(made[0].flatten())
            rows.append(torch.stack(out))
    return torch.stack(rows).numpy()


def export(net: nn.Module, shape: tuple[int, ...], dt: float = DT):
    return lambda: to_nir(net, torch.zeros(1, *shape), dt=dt)


def main(folder: Path) -> None:
    cases = Cases("norse", folder, ("norse", "nirtorch", "nir", "torch"))
    rng = np.random.default_rng(2)
    frames = spikes(rng, 3, 24, 5, density=0.5)

    def two(first: tuple[int, ...], second: tuple[int, ...]) -> norse.SequentialState:
        weights = np.random.default_rng(20)
        return norse.SequentialState(
            dense(grid(weights, 7, 5)), lif(first, 0.5, odd(261) / 2),
            dense(grid(weights, 3, 7), np.array([4, -6, 10]) / 128), lif(second, 0.25, odd(301) / 4),
        )  # fmt: skip

    net = two((7,), (3,))
    made = run(net, frames)
    cases.add("lifbox", "Linear, LIFBoxCell", lambda: to_nir(net, torch.zeros(5)), frames=frames, made=made,
              dt_s=DT * DT, note="dt is 1e-6 s: by default the exporter writes tau 1,000 times too short")  # fmt: skip
    cases.again("lifbox_dt", "the same, dt as Norse ran it", of="lifbox", dt_s=DT)
    cases.add(
        "lifbox_dt_1", "Linear, LIFBoxCell, exported with dt=1", lambda: to_nir(net, torch.zeros(5), dt=1.0),
        frames=frames, made=made, dt_s=DT, note="to_nir(..., dt=1) writes tau in seconds",
    )  # fmt: skip
    cases.add("lifbox_batch", "Linear, LIFBoxCell, exported with a batch axis", lambda: to_nir(net, torch.zeros(1, 5)),
              frames=frames, made=made, dt_s=DT * DT)  # fmt: skip
    cases.add("lifbox_scalar", "Linear, LIFBoxCell with scalar parameters, Norse's default",
              lambda: to_nir(two((), ()), torch.zeros(5)), frames=frames, made=made, dt_s=DT * DT)  # fmt: skip

    many = spikes(rng, 8, 200, 5, density=0.5)
    net_odd = norse.SequentialState(dense(grid(rng, 12, 5)), lif((12,), 0.2, 0.4))
    cases.add("lifbox_odd_decay", "Linear, LIFBoxCell, decay off the 12-bit grid",
              lambda: to_nir(net_odd, torch.zeros(5), dt=1.0), frames=many, made=run(net_odd, many),
              dt_s=DT)  # fmt: skip

    six = functools.partial(torch.full, (6,))
    cell = norse.LIFCell(
        norse.LIFParameters(
            tau_mem_inv=six(0.25 / DT), tau_syn_inv=six(0.5 / DT), v_th=six(odd(801) / 4), v_leak=six(0.0)
        ), dt=DT,
    )  # fmt: skip
    net_lif = norse.SequentialState(dense(grid(rng, 6, 5)), cell)
    made = run(net_lif, frames)
    cases.add(
        "lif", "Linear, LIFCell", lambda: to_nir(net_lif, torch.zeros(5), dt=1.0), frames=frames, made=made, dt_s=DT,
        note="the exporter leaves out w_in = tau_syn/dt: the file's input is weaker than what Norse ran",
    )  # fmt: skip

    def corrected() -> nir.NIRGraph:
        graph = to_nir(net_lif, torch.zeros(5), dt=1.0)
        for node in graph.nodes.values():
            if isinstance(node, nir.CubaLIF):
                node.w_in = np.asarray(node.tau_syn) / DT
        return graph

    cases.add("lif_w_in", "Linear, LIFCell, w_in = tau_syn/dt set before nir.write", corrected, frames=frames,
              made=made, dt_s=DT)  # fmt: skip

    def iaf(size: int, threshold: float) -> IAFCell:
        return IAFCell(norse.IAFParameters(v_th=torch.full((size,), threshold)), dt=DT)

    net_iaf = norse.SequentialState(dense(grid(rng, 6, 5)), iaf(6, odd(361)), dense(grid(rng, 4, 6)), iaf(4, odd(201)))
    cases.add("iaf", "Linear, IAFCell", lambda: to_nir(net_iaf, torch.zeros(5)), frames=frames,
              made=run(net_iaf, frames), dt_s=DT, if_gain="per_step")  # fmt: skip

    pictures = spikes(rng, 2, 16, 2, 9, 7, density=0.4)
    net_conv = norse.SequentialState(
        conv(grid(rng, 4, 2, 3, 2), stride=(2, 1), padding=(1, 0)), lif((4, 5, 6), 0.5, odd(301) / 2),
        conv(grid(rng, 3, 4, 2, 3), dilation=(2, 1)), lif((3, 3, 4), 0.5, odd(401) / 2),
    )  # fmt: skip
    made = run(net_conv, pictures)
    batch = torch.zeros(2, 9, 7)
    cases.add("conv", "Conv2d, LIFBoxCell", lambda: to_nir(net_conv, batch, dt=1.0), frames=pictures, made=made,
              dt_s=DT)  # fmt: skip

    def shaped() -> nir.NIRGraph:
        graph = to_nir(net_conv, batch, dt=1.0)
        before = {behind: name for name, behind in graph.edges}
        sizes = {"input": (9, 7)} | {
            name: node.v_threshold.shape[1:] for name, node in graph.nodes.items() if isinstance(node, nir.LIF)
        }
        for name, node in graph.nodes.items():
            if isinstance(node, nir.Conv2d):
                node.input_shape = tuple(sizes[before[name]])
        return graph

    cases.add(
        "conv_shaped", "Conv2d (stride, padding, dilation, 3x2 and 2x3 kernels), input_shape set before nir.write",
        shaped, frames=pictures, made=made, dt_s=DT,
    )  # fmt: skip
    plain = norse.SequentialState(conv(grid(rng, 4, 2, 3, 3), bias=False), lif((4, 7, 5), 0.5, 1.0))
    cases.add("conv_no_bias", "Conv2d(bias=False)", lambda: to_nir(plain, batch))
    flat = norse.SequentialState(nn.Flatten(0), dense(grid(rng, 3, 126)), lif((3,), 0.5, 1.0))
    cases.add("flatten", "Flatten", lambda: to_nir(flat, batch))
    pool = norse.SequentialState(nn.AvgPool2d(2), lif((2, 4, 3), 0.5, 0.6))
    cases.add("pool", "AvgPool2d", lambda: to_nir(pool, batch))

    nested = norse.SequentialState(
        norse.SequentialState(dense(grid(rng, 7, 5)), lif((7,), 0.5, odd(261) / 2)),
        norse.SequentialState(dense(grid(rng, 3, 7)), lif((3,), 0.5, odd(201) / 2)),
    )
    cases.add("nested", "SequentialState inside SequentialState", lambda: to_nir(nested, torch.zeros(5), dt=1.0),
              frames=frames, made=run(nested, frames), dt_s=DT)  # fmt: skip

    three = functools.partial(torch.full, (3,))
    li = norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=three(0.25 / DT), v_leak=three(0.0)), dt=DT)
    net_li = norse.SequentialState(dense(grid(rng, 7, 5)), lif((7,), 0.5, odd(261) / 2), dense(grid(rng, 3, 7)), li)
    cases.add("libox", "Linear, LIFBoxCell, Linear, LIBoxCell read-out", lambda: to_nir(net_li, torch.zeros(5), dt=1.0),
              frames=frames, made=run(net_li, frames), what="membrane", dt_s=DT)  # fmt: skip
    recurrent = norse.SequentialState(dense(grid(rng, 6, 5)), norse.LIFRecurrentCell(6, 6))
    cases.add("recurrent", "LIFRecurrentCell", lambda: to_nir(recurrent, torch.zeros(5)))
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
