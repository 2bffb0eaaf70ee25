"""Networks as the frameworks' own guides write them: python make_typical.py FRAMEWORK FOLDER. See common.py.

Layers are smaller than in the guides, weights are those of a seeded start, and parameters that a guide leaves out are
the framework's defaults. snnTorch's are live modules, in typical.py.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
from common import Cases, spikes

IMAGE = (2, 10, 10)


def norse(add: Callable[..., None]) -> None:
    import norse.torch as norse
    import torch
    from norse.torch.utils.export_nir import to_nir
    from torch import nn

    torch.manual_seed(0)

    def run(net: nn.Module, frames: np.ndarray) -> np.ndarray:
        rows = []
        for sample in torch.tensor(frames, dtype=torch.float32):
            state, out = None, []
            for step in sample:
                made, state = net(step[None], state)
                out.append(made[0].flatten())
            rows.append(torch.stack(out))
        return torch.stack(rows).detach().numpy()

    def sized(size: int, kind: type, parameters: type, **more: float) -> Any:
        values = {key: torch.full((size,), value) for key, value in more.items()}
        return kind(parameters(**values))

    box = {"tau_mem_inv": 100.0, "v_th": 0.05, "v_leak": 0.0}
    slow = {"tau_mem_inv": 100.0, "tau_syn_inv": 200.0, "v_th": 0.3, "v_leak": 0.0}
    for name, cells, kind, parameters, values in (
        ("box", "LIFBoxCell", norse.LIFBoxCell, norse.LIFBoxParameters, box),
        ("lif", "LIFCell", norse.LIFCell, norse.LIFParameters, slow),
    ):
        net = norse.SequentialState(
            nn.Linear(20, 16, bias=False), sized(16, kind, parameters, **values), nn.Linear(16, 4, bias=False),
            sized(4, kind, parameters, **values),
        )  # fmt: skip
        construct = f"SequentialState(Linear, {cells}, Linear, {cells})"
        add(name, construct, lambda net=net: to_nir(net, torch.zeros(20)), (20,), lambda f, net=net: run(net, f))


def sinabs(add: Callable[..., None]) -> None:
    import sinabs.layers as sl
    import torch
    from sinabs.from_torch import from_model
    from sinabs.nir import to_nir
    from torch import nn

    torch.manual_seed(1)

    def run(net: nn.Module, frames: np.ndarray) -> np.ndarray:
        rows = []
        with torch.no_grad():
            for sample in torch.tensor(frames, dtype=torch.float32):
                for module in net.modules():
                    if isinstance(module, sl.StatefulLayer):
                        module.reset_states()
                rows.append(net(sample).reshape(len(sample), -1))
        return torch.stack(rows).numpy()

    ann = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), sl.SumPool2d(2), nn.Flatten(),
                        nn.Linear(64, 5, bias=False), nn.ReLU())  # fmt: skip
    spiking = from_model(ann, input_shape=IMAGE, batch_size=1).spiking_model

    def typed() -> nir.NIRGraph:
        graph = to_nir(spiking, torch.zeros(1, *IMAGE))
        graph.infer_types()
        return graph

    construct = "from_model(Conv2d, ReLU, SumPool2d, Flatten, Linear, ReLU)"
    add("from_model", construct, typed, IMAGE, lambda f: run(spiking, f))
    cells = {"tau_mem": 20.0, "batch_size": 1, "spike_threshold": torch.tensor(0.02)}
    lif = nn.Sequential(nn.Linear(20, 16, bias=False), sl.LIFSqueeze(**cells), nn.Linear(16, 4, bias=False),
                        sl.LIFSqueeze(**cells))  # fmt: skip
    run(lif, spikes(np.random.default_rng(0), 1, 4, 20))
    add("lif", "Sequential(Linear, LIF, Linear, LIF)", lambda: to_nir(lif, torch.zeros(1, 20)), (20,),
        lambda f: run(lif, f))  # fmt: skip


def spikingjelly(add: Callable[..., None]) -> None:
    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    from spikingjelly.activation_based.nir_exchange import export_to_nir
    from torch import nn

    torch.manual_seed(2)

    def run(net: nn.Module, frames: np.ndarray) -> np.ndarray:
        rows = []
        with torch.no_grad():
            for sample in torch.tensor(frames, dtype=torch.float32):
                functional.reset_net(net)
                rows.append(torch.stack([net(step[None])[0].flatten() for step in sample]))
        functional.reset_net(net)
        return torch.stack(rows).numpy()

    fc = nn.Sequential(layer.Flatten(), layer.Linear(200, 10, bias=False),
                       neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()))  # fmt: skip
    with torch.no_grad():
        fc[1].weight *= 5
    add("lif_fc", "Sequential(Flatten, Linear, LIFNode(tau=2.0))",
        lambda: export_to_nir(fc, torch.zeros(1, *IMAGE)), IMAGE, lambda f: run(fc, f))  # fmt: skip
    csnn = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False), neuron.IFNode(surrogate_function=surrogate.ATan()),
        layer.AvgPool2d(2), layer.Flatten(), layer.Linear(100, 10, bias=False),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
    )  # fmt: skip
    add("csnn", "Sequential(Conv2d, IFNode, AvgPool2d, Flatten, Linear, IFNode)",
        lambda: export_to_nir(csnn, torch.zeros(1, *IMAGE)), IMAGE, lambda f: run(csnn, f))  # fmt: skip


def rockpool(add: Callable[..., None]) -> None:
    import torch
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    torch.manual_seed(3)

    def run(net: Any, frames: np.ndarray) -> np.ndarray:
        rows = []
        for sample in frames:
            net.reset_state()
            rows.append(net(torch.tensor(sample[None], dtype=torch.float32))[0][0].detach())
        return torch.stack(rows).numpy()

    for name, kind in (("lif", LIFTorch), ("neuron", LIFNeuronTorch)):
        net = Sequential(LinearTorch((20, 16), has_bias=False), kind(16, dt=1e-3), LinearTorch((16, 4), has_bias=False),
                         kind(4, dt=1e-3))  # fmt: skip
        construct = f"Sequential(LinearTorch, {kind.__name__}, LinearTorch, {kind.__name__})"
        add(name, construct, lambda net=net: to_nir(net), (20,), lambda f, net=net: run(net, f))


def spyx(add: Callable[..., None]) -> None:
    import make_spyx
    import spyx.nn as snn
    from flax import nnx

    rngs = nnx.Rngs(4)
    mlp = snn.Sequential(nnx.Linear(20, 16, use_bias=False, rngs=rngs), snn.LIF((16,), rngs=rngs),
                         nnx.Linear(16, 4, use_bias=False, rngs=rngs), snn.LIF((4,), rngs=rngs))  # fmt: skip
    for layer in mlp.layers[::2]:
        layer.kernel[...] = 3 * layer.kernel[...]  # so that it fires
    add("lif", "Sequential(Linear, LIF, Linear, LIF), a beta for each neuron",
        lambda: make_spyx.exported(mlp, (20,), 4), (20,), lambda f: make_spyx.run(mlp, f, 2))  # fmt: skip
    conv = snn.Sequential(
        nnx.Conv(2, 4, (3, 3), padding="VALID", rngs=rngs), snn.IF((8, 8, 4)),
        snn.SumPool((2, 2), (2, 2), "VALID", channel_axis=-1), snn.Flatten(), nnx.Linear(64, 5, rngs=rngs),
        snn.IF((5,)),
    )  # fmt: skip
    add("conv", "Sequential(Conv, IF, SumPool, Flatten, Linear, IF)",
        lambda: make_spyx.exported(conv, IMAGE, 5), IMAGE, lambda f: make_spyx.run(conv, f, 2))  # fmt: skip


def nengo(add: Callable[..., None]) -> None:
    import make_nengo as made

    rng = np.random.default_rng(5)
    lost = 1 - np.exp(-made.DT / made.TAU)
    for name, construct, sizes in (("one", "one LIF ensemble", (20, 8)), ("two", "two LIF ensembles", (20, 16, 4))):
        layers = [(rng.normal(0.15, 0.3, (behind, before)) / lost * (made.DT if index else 1), np.zeros(behind))
                  for index, (before, behind) in enumerate(itertools.pairwise(sizes))]  # fmt: skip
        add(name, construct, lambda layers=layers: made.exported(layers), sizes[:1],
            lambda f, layers=layers: made.run(layers, f, made.LOWEST))  # fmt: skip


def main(framework: str, folder: Path) -> None:
    cases = Cases(f"typical_{framework}", folder, (framework,))
    rng = np.random.default_rng(9)

    def add(name: str, construct: str, export: Callable[[], nir.NIRGraph], shape: tuple[int, ...],
            run: Callable[[np.ndarray], np.ndarray]) -> None:  # fmt: skip
        frames = spikes(rng, 6, 20, *shape, density=0.3)
        cases.add(name, construct, export, frames=frames, made=run(frames), reset=None, framework=framework)

    made = {"norse": norse, "sinabs": sinabs, "spikingjelly": spikingjelly, "rockpool": rockpool, "spyx": spyx}
    {**made, "nengo": nengo}[framework](add)
    cases.save()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
