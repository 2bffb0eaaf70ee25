"""Compares two executions of one network, spike by spike, and finds the first spike that differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NotRequired, TypedDict

import numpy as np

from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace

MEMBRANE = " membrane"  # after the name of the last layer where voltages are compared
TITLES = {"quantized": "quantized student", "reference": "integer reference", "lava": "Lava 0.10.0 fixed_pt"}


def title_of(name: str) -> str:
    """An execution in sentences.

    Args:
        name: name of a backend, or "quantized" for the student in PyTorch.

    >>> title_of("reference"), title_of("my_backend:make")
    ('integer reference', 'my_backend:make')
    """
    return TITLES.get(name, name)


def pair_key(first: str, second: str) -> str:
    """The key of a comparison of two executions in JSON.

    >>> pair_key("reference", "lava")
    'reference_vs_lava'
    """
    return f"{first}_vs_{second}"


class DivergenceJson(TypedDict):
    """`Divergence` as JSON; `of_values` is there where it is true."""

    sample: int
    layer: str
    neuron: Sequence[int]
    step: int
    first: int
    second: int
    of_values: NotRequired[bool]


class SpikeComparisonJson(TypedDict):
    """`SpikeComparison` as JSON; older files lack the names of the executions, `of_values` is there if it is true."""

    first: NotRequired[str]
    second: NotRequired[str]
    samples: int
    layers: Sequence[str]
    spikes_compared: int
    entries_compared: int
    mismatches: int
    first_divergence: DivergenceJson | None
    of_values: NotRequired[bool]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first difference: the lowest sample, in it the first layer that differs, there the earliest time step and
    the lowest neuron. All layers before agree on this sample, so the cause is in this layer.

    Attributes:
        sample: index of the sample.
        layer: name of the layer; it ends in " membrane" where voltages differ.
        neuron: index of the neuron, `(C, H, W)` or `(N,)`.
        step: time step, from 0.
        first: spike (0 or 1) of the first execution, its voltage in the chip's units, or the value of its message.
        second: the same of the second execution.
        of_values: whether values of messages differ, in a sigma-delta network.
    """

    sample: int
    layer: str
    neuron: tuple[int, ...]
    step: int
    first: int
    second: int
    of_values: bool = False

    @property
    def of_membrane(self) -> bool:
        """Whether voltages differ and not spikes."""
        return self.layer.endswith(MEMBRANE)

    def describe(self, first: str, second: str) -> str:
        """One sentence for people; `first` and `second` are the names of the executions."""
        what = "voltages" if self.of_membrane else "values" if self.of_values else "spikes"
        return (
            f"first divergence in layer {self.layer}, step {self.step}, neuron {self.neuron}, sample {self.sample}: "
            f"{what} {self.first} ({title_of(first)}) and {self.second} ({title_of(second)})"
        )

    def to_json(self) -> DivergenceJson:
        """Plain values, one key for each attribute; `of_values` if it is true."""
        return _plain(self)

    @classmethod
    def from_json(cls, value: DivergenceJson) -> Divergence:
        """The divergence that `to_json` made `value` of."""
        fields: Any = {**value, "neuron": tuple(value["neuron"])}
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class SpikeComparison:
    """Result of comparing two executions.

    Attributes:
        first: name of the first execution: a backend, or "quantized" for the student in PyTorch.
        second: name of the second execution.
        samples: number of samples compared.
        layers: names of the layers compared, in order.
        spikes_compared: spikes of the first execution in these layers, or messages that are not 0.
        entries_compared: (neuron, time step) pairs at which spikes, voltages or values were compared.
        mismatches: entries that differ.
        first_divergence: the first of them; None if the executions are equal.
        of_values: whether values of messages were compared, of a sigma-delta network.
    """

    first: str = "first"
    second: str = "second"
    samples: int
    layers: tuple[str, ...]
    spikes_compared: int
    entries_compared: int
    mismatches: int
    first_divergence: Divergence | None
    of_values: bool = False

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.mismatches == 0

    def describe(self) -> list[str]:
        """Sentences for people: one with the counts, one more with the first divergence if there is any."""
        first, second = title_of(self.first), title_of(self.second)
        counts = (
            f"{first} against {second}: {self.mismatches:,} mismatches in {self.spikes_compared:,} "
            f"{'messages' if self.of_values else 'spikes'} of "
            f"{self.samples:,} samples, layers {', '.join(self.layers)}"
        )
        found = self.first_divergence
        return [counts] if found is None else [counts, found.describe(self.first, self.second)]

    def to_json(self) -> SpikeComparisonJson:
        """Plain values, one key for each attribute."""
        found, plain = self.first_divergence, _plain(self)
        return plain | {"first_divergence": None if found is None else found.to_json()}

    @classmethod
    def from_json(cls, value: SpikeComparisonJson) -> SpikeComparison:
        """The comparison that `to_json` made `value` of; other keys are ignored."""
        first = value["first_divergence"]
        return cls(
            first=value.get("first", "first"),
            second=value.get("second", "second"),
            samples=value["samples"],
            layers=tuple(value["layers"]),
            spikes_compared=value["spikes_compared"],
            entries_compared=value["entries_compared"],
            mismatches=value["mismatches"],
            first_divergence=None if first is None else Divergence.from_json(first),
            of_values=value.get("of_values", False),
        )


def compare_layers(
    names: Sequence[str],
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    membranes: tuple[np.ndarray, np.ndarray] | None = None,
    executions: tuple[str, str] = ("first", "second"),
    *,
    of_values: bool = False,
) -> SpikeComparison:
    """Compares spikes, or values of messages, layer by layer, and voltages after them.

    Args:
        names: names of the layers, in order.
        first: spikes of each layer in the first execution, `[N, T, *shape]` of 0 and 1, or values.
        second: the same in the second execution.
        membranes: voltages of the last layer `[N, T, K]` in both executions.
        executions: names of the two executions.
        of_values: whether `first` and `second` are values of messages.

    Raises:
        ValueError: the shapes differ.
    """
    shapes = [layer.shape for layer in first], [layer.shape for layer in second]
    if shapes[0] != shapes[1] or len(names) != len(first):
        raise ValueError(f"layers {shapes[0]} cannot be compared with {shapes[1]}")
    spikes = sum(int(np.count_nonzero(layer)) for layer in first)
    if membranes is not None:
        if membranes[0].shape != membranes[1].shape:
            raise ValueError(f"membranes {membranes[0].shape} cannot be compared with {membranes[1].shape}")
        names = [*names, f"{names[-1]}{MEMBRANE}"]
        first, second = [*first, membranes[0]], [*second, membranes[1]]
    differs = [a != b for a, b in zip(first, second, strict=True)]
    divergence = _first(names, first, second, differs)
    return SpikeComparison(
        first=executions[0],
        second=executions[1],
        samples=len(first[0]),
        layers=tuple(names),
        spikes_compared=spikes,
        entries_compared=sum(layer.size for layer in first),
        mismatches=sum(int(layer.sum()) for layer in differs),
        first_divergence=None if divergence is None else replace(divergence, of_values=of_values),
        of_values=of_values,
    )


def compare_traces(
    network: IntegerNetwork, first: SpikeTrace, second: SpikeTrace, executions: tuple[str, str] | None = None
) -> SpikeComparison:
    """Compares two executions of one network.

    Args:
        network: the network that both ran.
        first: one execution.
        second: the other, of the same samples.
        executions: their names; None: the traces' `backend`.

    Returns:
        A comparison of all layers if both traces have them, else of the output layer. Membranes are compared if both
        traces have them, and values in place of spikes.

    Raises:
        ValueError: the shapes differ.
    """
    names, of_values = [layer.name for layer in network.layers], network.sends_values
    pair = first.signals, second.signals
    if pair[0] is None or pair[1] is None:
        names, pair = names[-1:], ((first.output,), (second.output,))
    membranes = None
    if first.membrane is not None and second.membrane is not None:
        membranes = first.membrane, second.membrane
    layers, others = pair
    assert layers is not None
    assert others is not None
    shaped = [np.reshape(b, a.shape) if b.size == a.size else b for a, b in zip(layers, others, strict=True)]
    executions = executions or (first.backend, second.backend)
    return compare_layers(names, layers, shaped, membranes, executions, of_values=of_values)


def merge(parts: Sequence[SpikeComparison]) -> SpikeComparison:
    """Comparisons of successive chunks of samples as one.

    Raises:
        ValueError: there is no part.
    """
    if not parts:
        raise ValueError("nothing was compared")
    before, first = 0, None
    for part in parts:
        if first is None and part.first_divergence is not None:
            first = replace(part.first_divergence, sample=before + part.first_divergence.sample)
        before += part.samples
    return replace(
        parts[0],
        samples=before,
        spikes_compared=sum(part.spikes_compared for part in parts),
        entries_compared=sum(part.entries_compared for part in parts),
        mismatches=sum(part.mismatches for part in parts),
        first_divergence=first,
    )


def _plain(value: Divergence | SpikeComparison) -> Any:
    return {key: entry for key, entry in vars(value).items() if key != "of_values" or entry}


def _first(
    names: Sequence[str], first: Sequence[np.ndarray], second: Sequence[np.ndarray], differs: Sequence[np.ndarray]
) -> Divergence | None:
    per_sample = np.stack([layer.reshape(len(layer), -1).any(axis=1) for layer in differs])  # [L, N]
    if not per_sample.any():
        return None
    sample = int(np.argmax(per_sample.any(axis=0)))
    layer = int(np.argmax(per_sample[:, sample]))
    step, *neuron = (int(index) for index in np.argwhere(differs[layer][sample])[0])
    index = (sample, step, *neuron)
    return Divergence(
        sample=sample,
        layer=names[layer],
        neuron=tuple(neuron),
        step=step,
        first=int(first[layer][index]),
        second=int(second[layer][index]),
    )
