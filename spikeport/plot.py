"""Plots of simulations and energy estimates with matplotlib. Each function draws on one Axes and returns it.

No function changes global state: without `ax`, the plot gets a new figure of its own, which is `axes.figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spikeport.errors import UserError
from spikeport.values import Interval, Missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABELS = 12  # above that many neurons, the axis shows numbers instead of one label a neuron


class HasSpikes(Protocol):
    """What a raster reads of a spike trace: `spikes` `[N, T, K]`; `layer_spikes`, each `[N, T, *shape]`, or None."""

    @property
    def spikes(self) -> np.ndarray: ...
    @property
    def layer_spikes(self) -> Sequence[np.ndarray] | None: ...


class HasMembrane(Protocol):
    """What a plot of membranes reads of a spike trace: `membrane` `[N, T, K]` int32, or None."""

    @property
    def membrane(self) -> np.ndarray | None: ...


class HasCounts(Protocol):
    """What a plot of rates reads of a spike trace: `counts.spikes_out` `[N, L]` int64."""

    @property
    def spikes(self) -> np.ndarray: ...
    @property
    def counts(self) -> Any: ...


class HasLayers(Protocol):
    """What a plot of rates reads of an integer network: `layers`, each with `name` and `neurons`."""

    @property
    def layers(self) -> Sequence[Any]: ...


class HasDynamicEnergy(Protocol):
    """What a bar reads of an energy estimate: `dynamic_uj`, an interval, or none where a constant is unknown."""

    @property
    def dynamic_uj(self) -> Interval | Missing | None: ...


def raster(trace: HasSpikes, *, sample: int = 0, layer: int | None = None, ax: Axes | None = None) -> Axes:
    """Draws one mark for each spike of a sample: time steps across, neurons upward.

    Args:
        trace: a spike trace.
        sample: which sample, from 0.
        layer: index of a layer; None for the output. A layer needs a trace that keeps the spikes of all layers.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The axes.

    Raises:
        UserError: the trace has no such sample or layer, or did not keep the spikes of the layers.

    >>> from types import SimpleNamespace
    >>> trace = SimpleNamespace(spikes=np.eye(3, dtype=np.uint8)[None], layer_spikes=None)
    >>> raster(trace).get_ylabel()
    'output neuron'
    """
    if layer is None:
        spikes = _sample(trace.spikes, sample)
    else:
        recorded = trace.layer_spikes
        if recorded is None:
            raise UserError("the trace has no spikes of layers", hint="simulate with keep_layers=True")
        if not -len(recorded) <= layer < len(recorded):
            raise UserError(f"layer {layer} does not exist", cause=f"the trace has {len(recorded)} layers")
        spikes = _sample(recorded[layer], sample)
    spikes = spikes.reshape(len(spikes), -1)
    axes = _axes(ax)
    steps, neurons = np.nonzero(spikes)
    axes.scatter(steps, neurons, marker="|", s=max(8.0, min(80.0, 4000 / max(1, spikes.shape[1]))), color="C0")
    axes.set_xlim(-0.5, len(spikes) - 0.5)
    axes.set_ylim(-0.5, spikes.shape[1] - 0.5)
    if spikes.shape[1] <= MAX_LABELS:
        axes.set_yticks(range(spikes.shape[1]))
    axes.set_xlabel("time step")
    axes.set_ylabel("output neuron" if layer is None else f"neuron of layer {layer}")
    return axes


def membranes(
    voltages: HasMembrane | np.ndarray,
    *,
    sample: int = 0,
    neurons: Sequence[int] | None = None,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the membrane potential of neurons over the time steps of a sample, one line a neuron.

    Args:
        voltages: a spike trace that has the membrane of the last layer, or an array `[N, T, K]` of any unit.
        sample: which sample, from 0.
        neurons: which neurons; None for the first ten.
        threshold: where to draw a dashed line for the threshold; None for no line.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The axes.

    Raises:
        UserError: the trace has no membrane, or there is no such sample or neuron.

    >>> membranes(np.zeros((1, 4, 2)), threshold=1.0).get_lines()[-1].get_label()
    'threshold'
    """
    values = voltages if isinstance(voltages, np.ndarray) else voltages.membrane
    if values is None:
        raise UserError(
            "the trace has no membrane", hint="read the network out by membrane, or pass an array [N, T, K]"
        )
    potentials = _sample(values, sample)
    potentials = potentials.reshape(len(potentials), -1)
    chosen = range(min(10, potentials.shape[1])) if neurons is None else neurons
    axes = _axes(ax)
    for neuron in chosen:
        if not 0 <= neuron < potentials.shape[1]:
            raise UserError(f"neuron {neuron} does not exist", cause=f"the layer has {potentials.shape[1]} neurons")
        axes.plot(potentials[:, neuron], label=str(neuron), linewidth=1.2)
    if threshold is not None:
        axes.axhline(threshold, color="0.4", linestyle="--", linewidth=1, label="threshold")
    axes.set_xlabel("time step")
    axes.set_ylabel(
        "membrane potential" if isinstance(voltages, np.ndarray) else "membrane potential (1/64 weight step)"
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", ncols=2, title="neuron", frameon=False)
    return axes


def rates(network: HasLayers, trace: HasCounts, *, ax: Axes | None = None) -> Axes:
    """Draws the mean firing rate of each layer, in spikes per neuron and time step, over all samples.

    Args:
        network: the integer network.
        trace: its spike trace, with counts.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The axes.

    Raises:
        UserError: the trace has no counts, or counts of another network.
    """
    if trace.counts is None:
        raise UserError("the trace has no counts", hint="simulate with the reference backend")
    fired = np.asarray(trace.counts.spikes_out)
    if fired.shape[1] != len(network.layers):
        raise UserError(
            "the trace belongs to another network",
            cause=f"it counts {fired.shape[1]} layers, the network has {len(network.layers)}",
        )
    names = [str(layer.name) for layer in network.layers]
    neurons = np.array([layer.neurons for layer in network.layers])
    mean = fired.mean(axis=0) / (neurons * trace.spikes.shape[1])
    axes = _axes(ax)
    _bars(axes, names, mean)
    for place, value in enumerate(mean):
        axes.annotate(f" {value:.3g}", (value, place), va="center", fontsize="small")
    axes.set_xlim(0, max(float(mean.max(initial=0)) * 1.15, 1e-6))
    axes.set_xlabel("spikes per neuron and time step")
    return axes


def energy_bars(
    estimates: Mapping[str, HasDynamicEnergy | Interval | Missing | None], *, ax: Axes | None = None
) -> Axes:
    """Draws the dynamic energy of an inference on each device: the nominal value as a bar, low to high as a line.

    Args:
        estimates: for the name of each device, an energy estimate, an interval in µJ, or Missing or None. An energy
            that is not known has no bar, and the plot says "unknown".
        ax: the axes to draw on; None for a new figure.

    Returns:
        The axes.

    >>> axes = energy_bars({"a": Interval(low=1, nominal=2, high=4), "b": Missing("no constant is published")})
    >>> [text.get_text() for text in axes.texts]
    [' 2 µJ (1 to 4)', ' unknown']
    """
    intervals = [_interval(value) for value in estimates.values()]
    axes = _axes(ax)
    _bars(axes, list(estimates), np.array([0.0 if known is None else known.nominal for known in intervals]))
    highest = max((known.high for known in intervals if known is not None), default=1.0)
    for place, known in enumerate(intervals):
        if known is None:
            axes.annotate(" unknown", (0, place), va="center", fontsize="small", color="0.4")
            continue
        axes.plot([known.low, known.high], [place, place], color="0.25", linewidth=1.5, marker="|", markersize=8)
        text = f" {known.nominal:.3g} µJ ({known.low:.3g} to {known.high:.3g})"
        axes.annotate(text, (known.high, place), va="center", fontsize="small")
    axes.set_xlim(0, (highest or 1.0) * 1.6)
    axes.set_xlabel("dynamic energy per inference (µJ), modeled")
    return axes


def _interval(value: HasDynamicEnergy | Interval | Missing | None) -> Interval | None:
    if value is None or isinstance(value, Interval | Missing):
        return value if isinstance(value, Interval) else None
    return _interval(value.dynamic_uj)


def _bars(axes: Axes, names: list[str], values: np.ndarray) -> None:
    """Horizontal bars, the first on top."""
    axes.barh(range(len(names)), values, color="C0", height=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _sample(values: np.ndarray, sample: int) -> np.ndarray:
    if not -len(values) <= sample < len(values):
        raise UserError(f"sample {sample} does not exist", cause=f"the trace has {len(values)} samples")
    return np.asarray(values[sample])


def _axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure that pyplot does not know of."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()
