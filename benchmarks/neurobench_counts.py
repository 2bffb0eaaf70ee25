"""Spikeport's counts against NeuroBench's code, where both define the same.

    pip install --no-deps --target FOLDER neurobench==2.3.0
    PYTHONPATH=FOLDER python benchmarks/neurobench_counts.py [--run RUN]

NeuroBench is not a dependency, since it requires torchaudio. Its hooks observe torch layers with the network's integer
weights, step by step, on the inputs of each layer of the reference; its SynapticOperations and ActivationSparsity count
them. Effective_ACs must equal our synaptic operations without zero weights, Dense our dense operations, and sparsity
ours. Calls stay below 2^24 operations, above which NeuroBench rounds because it sums in float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from reference import from_run, like_nmnist_small
from torch import nn

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.pipeline.profiling.counts import count_activity


class Replay(nn.Module):
    """The network's synapses as torch layers, fed with the inputs of the reference's layers.

    Spikes pass a ReLU, which leaves zeros and ones as they are and which NeuroBench recognizes as an activation.
    """

    def __init__(self, network: IntegerNetwork, received: list[np.ndarray], fired: list[np.ndarray]) -> None:
        super().__init__()
        self.synapses = nn.ModuleList(_synapse(layer) for layer in network.layers)
        self.activations = nn.ModuleList(nn.ReLU() for _ in network.layers)
        self.received = [torch.from_numpy(one).float() for one in received]
        self.fired = [torch.from_numpy(one).float() for one in fired]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        for step in range(self.received[0].shape[1]):
            for synapse, received in zip(self.synapses, self.received, strict=True):
                given = received[rows, step]
                synapse(given if isinstance(synapse, nn.Conv2d) else given.flatten(1))
            for activation, fired in zip(self.activations, self.fired, strict=True):
                activation(fired[rows, step])
        return self.fired[-1][rows].sum(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/nmnist-small"))
    options = parser.parse_args()
    _documented()
    rng = np.random.default_rng(0)
    for number in range(5):
        network = _random_network(rng)
        frames = (rng.random((7, 5, *network.input_shape)) < rng.uniform(0.1, 0.6)).astype(np.uint8)
        _compare(f"random network {number + 1}", network, frames)
    trained = (options.run / "student.net").exists()
    network, frames = from_run(options.run) if trained else like_nmnist_small()
    name = "nmnist-small's student" if trained else "a network like nmnist-small's student, random weights"
    _compare(name, network, frames[:20], batch=2)


def _compare(name: str, network: IntegerNetwork, frames: np.ndarray, batch: int = 3) -> None:
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    trace = simulate(network, frames, keep_layers=True)
    activity = count_activity(network, trace)
    assert trace.layer_spikes is not None
    fired = [
        np.reshape(spikes, (*spikes.shape[:2], *layer.output_shape))
        for spikes, layer in zip(trace.layer_spikes, network.layers, strict=True)
    ]
    model = TorchModel(Replay(network, [frames, *fired[:-1]], fired))
    synops, sparsity, parts = SynapticOperations(), ActivationSparsity(), []
    model.register_hooks()
    for rows in torch.arange(len(frames)).split(batch):
        model(rows)
        found = synops(model, None, (rows, None))
        parts.append(sparsity(model, None, None) * len(rows))
        model.reset_hooks()
    model.cleanup_hooks()
    ours = {
        "Effective_ACs": sum(int(layer.effective_synops.sum()) for layer in activity.layers) / len(frames),
        "Effective_MACs": 0,
        "Dense": sum(layer.dense_ops_per_pass for layer in activity.layers) * activity.steps,
    }
    assert found == ours, f"{name}: NeuroBench {found}, Spikeport {ours}"
    theirs = sum(parts) / len(frames)
    assert abs(theirs - activity.activation_sparsity) < 1e-12, (theirs, activity.activation_sparsity)
    shapes = " -> ".join("x".join(map(str, layer.output_shape)) for layer in network.layers)
    print(f"{name}: {shapes}, {len(frames)} samples")
    print(f"  Effective_ACs {found['Effective_ACs']:,.2f}, Dense {found['Dense']:,.0f} a sample, sparsity {theirs:.6f}")
    print("  equal to Spikeport's", flush=True)


def _documented() -> None:
    """The example of NeuroBench's documentation: its weights and one input of 0, 1, -1."""
    from neurobench.metrics.utils.layers import single_layer_MACs

    layer = nn.Linear(3, 3, bias=False)
    layer.weight.data = torch.tensor([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    given = torch.tensor([[0.0, 1.0, -1.0]])
    assert single_layer_MACs(given, layer) == (4, True)
    assert single_layer_MACs(given, layer, total=True)[0] == 9
    print("its documented example: 4 effective accumulations, 9 dense")


def _synapse(layer: IntegerLayer) -> nn.Module:
    weight = torch.from_numpy(np.array(layer.weight)).float()
    if layer.kind == "conv":
        channels, kernel = (layer.input_shape[0], weight.shape[0]), tuple(weight.shape[2:])
        made: nn.Module = nn.Conv2d(
            *channels, kernel, layer.stride, layer.padding, layer.dilation, layer.groups, bias=False
        )
    else:
        made = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


def _random_network(rng: np.random.Generator) -> IntegerNetwork:
    """Two convolutions of any stride, padding, dilation and groups, and a dense layer; a third of the weights is 0."""

    def weights(*shape: int) -> np.ndarray:
        return 2 * rng.integers(-40, 60, shape) * (rng.random(shape) < 0.67)

    layers: list[IntegerLayer] = []
    shape: tuple[int, ...] = (4, *map(int, rng.integers(9, 14, 2)))
    for index, channels in enumerate((6, 4)):
        groups = int(rng.choice([1, 2]))
        kernel = map(int, rng.integers(1, 4, 2))
        layers.append(
            IntegerLayer(
                name=f"conv{index + 1}",
                kind="conv",
                weight=weights(channels, shape[0] // groups, *kernel),
                bias=None,
                i_decay=4096,
                v_decay=int(rng.integers(0, 4096)),
                vth_mant=90,
                input_shape=shape,
                stride=tuple(map(int, rng.integers(1, 3, 2))),
                padding=tuple(map(int, rng.integers(0, 3, 2))),
                dilation=tuple(map(int, rng.integers(1, 3, 2))),
                groups=groups,
            )
        )
        shape = layers[-1].output_shape
    layers.append(
        IntegerLayer(
            name="dense",
            kind="dense",
            weight=weights(5, int(np.prod(shape))),
            bias=None,
            i_decay=4096,
            v_decay=512,
            vth_mant=60,
            input_shape=shape,
        )
    )
    return IntegerNetwork(input_shape=layers[0].input_shape, layers=tuple(layers))


if __name__ == "__main__":
    main()
