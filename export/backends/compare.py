"""Compares two executions of one network, spike by spike, and names the first place where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first difference: lowest sample, in it the first layer that differs, there the earliest step and neuron.

    Layers before it agree on that sample, so this is where the cause lies. `neuron` is `(C, H, W)` or `(N,)`.
    `first` and `second` are spikes, or voltages where `layer` ends in " membrane".
    """

    sample: int
    layer: str
    neuron: tuple[int, ...]
    step: int
    first: int
    second: int


@dataclass(frozen=True, kw_only=True)
class SpikeComparison:
    """`spikes_compared`: spikes that the first execution fired in all compared layers; `entries_compared`: places
    (neuron, step) at which both were asked for a spike, or for a voltage. `mismatches`: places at which they differ.
    """

    samples: int
    layers: tuple[str, ...]
    spikes_compared: int
    entries_compared: int
    mismatches: int
    first_divergence: Divergence | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare(
    names: Sequence[str],
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    membranes: tuple[np.ndarray, np.ndarray] | None = None,
) -> SpikeComparison:
    """Compares layers `[N, T, *shape]` of 0 and 1, in the order of the chain, and the last layer's voltages after them.

    Raises ValueError for unequal shapes.
    """
    shapes = [layer.shape for layer in first], [layer.shape for layer in second]
    if shapes[0] != shapes[1] or len(names) != len(first):
        raise ValueError(f"layers {shapes[0]} cannot be compared with {shapes[1]}")
    spikes = sum(int(layer.sum(dtype=np.int64)) for layer in first)
    if membranes is not None:
        if membranes[0].shape != membranes[1].shape:
            raise ValueError(f"membranes {membranes[0].shape} cannot be compared with {membranes[1].shape}")
        names = [*names, f"{names[-1]} membrane"]
        first, second = [*first, membranes[0]], [*second, membranes[1]]
    differs = [a != b for a, b in zip(first, second, strict=True)]
    return SpikeComparison(
        samples=len(first[0]),
        layers=tuple(names),
        spikes_compared=spikes,
        entries_compared=sum(layer.size for layer in first),
        mismatches=sum(int(layer.sum()) for layer in differs),
        first_divergence=_first(names, first, second, differs),
    )


def compare_traces(network: IntegerNetwork, first: SpikeTrace, second: SpikeTrace) -> SpikeComparison:
    """Compares two executions of `network` that kept their layers, and their membranes where both have them."""
    if first.layer_spikes is None or second.layer_spikes is None:
        raise ValueError("traces without layer spikes cannot be compared layer by layer")
    membranes = None
    if first.membrane is not None and second.membrane is not None:
        membranes = first.membrane, second.membrane
    shaped = [np.reshape(b, a.shape) for a, b in zip(first.layer_spikes, second.layer_spikes, strict=True)]
    return compare([layer.name for layer in network.layers], first.layer_spikes, shaped, membranes)


def merge(parts: Sequence[SpikeComparison]) -> SpikeComparison:
    """Comparisons of successive chunks of samples as one. Raises ValueError where there is none."""
    if not parts:
        raise ValueError("nothing was compared")
    before, first = 0, None
    for part in parts:
        if first is None and part.first_divergence is not None:
            first = replace(part.first_divergence, sample=before + part.first_divergence.sample)
        before += part.samples
    return SpikeComparison(
        samples=before,
        layers=parts[0].layers,
        spikes_compared=sum(part.spikes_compared for part in parts),
        entries_compared=sum(part.entries_compared for part in parts),
        mismatches=sum(part.mismatches for part in parts),
        first_divergence=first,
    )


def _first(
    names: Sequence[str], first: Sequence[np.ndarray], second: Sequence[np.ndarray], differs: Sequence[np.ndarray]
) -> Divergence | None:
    per_sample = np.stack([layer.reshape(len(layer), -1).any(axis=1) for layer in differs])  # [L, N]
    if not per_sample.any():
        return None
    sample = int(np.argmax(per_sample.any(axis=0)))
    layer = int(np.argmax(per_sample[:, sample]))
    step, *neuron = (int(place) for place in np.argwhere(differs[layer][sample])[0])
    place = (sample, step, *neuron)
    return Divergence(
        sample=sample,
        layer=names[layer],
        neuron=tuple(neuron),
        step=step,
        first=int(first[layer][place]),
        second=int(second[layer][place]),
    )
