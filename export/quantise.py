"""Spiking graph -> integer network: one scale per layer, every rounding reported.

A layer's neuron sees `gain (weight x / divisor + bias)` and a constant drive. Multiplied by `scale * divisor` its state
counts in integer units: weights `S g W`, bias `S c (g b + drive)`, threshold `S c theta` (spec 4.2, 4.5, 10.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np

from export.chain import NEURONS, SYNAPSES, refuse, structure_faults
from export.euler import EulerStep, euler_step
from export.fixed_point import BIAS_LIMIT, DECAY_ONE, THRESHOLD_LIMIT
from export.fold import FoldedLayer, fold
from export.integer_network import IntegerLayer, IntegerNetwork
from export.spiking_graph import SpikingGraph
from hardware_profiles.errors import UserError

FLOAT32 = 2.0**-22  # relative distance from an integer that float32 storage explains
DECAY_EXACT = 1e-3  # the same for 4096 dt/tau, whose tau may be float32


@dataclass(frozen=True, kw_only=True)
class LayerQuantisation:
    """What quantising one layer cost. All plain numbers and strings, ready for JSON.

    `scale`: integer units per float unit of v. `exact`: the scale was given and nothing was rounded. Errors:
    `weight_error`, `bias_error` are norms of the difference over norms of the values, `threshold_error` is relative,
    `v_decay_error`, `i_decay_error` are absolute fractions per step. `saturated`: weights clipped at the grid's end.
    `folded`: nodes that vanished into this layer. `notes`: choices a reader should know.
    """

    name: str
    kind: str
    neuron: str
    scale: float
    exact: bool
    gain: float
    divisor: int
    weights: int
    weight_error: float
    bias_error: float
    threshold_error: float
    v_decay_error: float
    i_decay_error: float
    saturated: int
    threshold_mant: int
    v_decay: int
    i_decay: int
    folded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def quantise(graph: SpikingGraph, *, bits: int = 8) -> tuple[IntegerNetwork, list[LayerQuantisation]]:
    """The integer network of a spiking graph, and per layer what rounding cost.

    Layers named in `graph.scales` must lie on the integer grid already. The others get `S = 254 / max|g W|` (for 8
    `bits`), lowered where bias or threshold would not fit, and are rounded half to even. Raises UserError naming the
    layer, the rule and the mend for everything the chip would not run as the graph says.
    """
    if not 2 <= bits <= 8:
        raise UserError(f"{bits}-bit weights are not possible", mend="use 2 to 8 bits")
    refuse(_faults(graph))
    layers, table = [], []
    for folded, neuron in fold(graph.chain()):
        step = euler_step(neuron.name, neuron.node, graph.dt_s)
        layer, row = _quantise_layer(folded, neuron.name, step, graph.scales.get(folded.name), bits)
        layers.append(layer)
        table.append(row)
    return IntegerNetwork(input_shape=graph.input_shape, layers=tuple(layers)), table


def _faults(graph: SpikingGraph) -> list[UserError]:
    """Everything about structure and neurons that keeps the graph from the chip, so that one run tells it all."""
    nodes = graph.nir_graph.nodes
    faults = structure_faults(graph.nir_graph)
    steps: dict[str, EulerStep] = {}
    for name, node in nodes.items():
        if isinstance(node, NEURONS):
            try:
                steps[name] = euler_step(name, node, graph.dt_s)
            except UserError as fault:
                faults.append(fault)
    for before, behind in sorted(graph.nir_graph.edges):
        node = nodes.get(before)
        if isinstance(node, SYNAPSES) and not isinstance(node, nir.Linear) and behind in steps and np.any(node.bias):
            faults += _bias_fault(before, behind, steps[behind])
    return faults


def _bias_fault(layer: str, neuron: str, step: EulerStep) -> list[UserError]:
    if _decay_mant(step.i_decay) == DECAY_ONE:
        return []
    return [
        UserError(
            f"has a bias, and the current of {neuron} decays slowly (i_decay {_decay_mant(step.i_decay)} of 4096)",
            where=layer, why="NIR adds the bias to the current, the chip to the voltage",
            mend="train without bias before this neuron, or with tau_syn = dt",
        )
    ]  # fmt: skip


def _quantise_layer(
    layer: FoldedLayer, neuron: str, step: EulerStep, given: float | None, bits: int
) -> tuple[IntegerLayer, LayerQuantisation]:
    gain = layer.gain * step.gain
    weight = gain * layer.weight
    bias = layer.divisor * (gain * layer.bias + step.drive)
    threshold = layer.divisor * step.threshold
    if np.any(layer.bias):
        refuse(_bias_fault(layer.name, neuron, step))
    if not np.any(weight):
        raise UserError("all weights are zero", where=layer.name, why="netx divides by the largest of them",
                        mend="prune the layer or train it longer")  # fmt: skip
    notes = list(step.notes)
    if given is None:
        scale, note = _choose_scale(layer.name, weight, bias, threshold, bits)
        notes += note
        grid = 2 ** (9 - bits)
        rounded = grid * np.rint(scale * weight / grid)
        kept = np.clip(rounded, grid - 256, 256 - grid)
        bias_mant, threshold_mant = np.rint(scale * bias), float(np.rint(scale * threshold))
    else:
        scale = given
        kept = rounded = _exact(layer.name, "weight", scale * weight, even=True)
        bias_mant = _exact(layer.name, "bias", scale * bias)
        threshold_mant = float(_exact(layer.name, "threshold", np.array(scale * threshold)))
        for key, fraction in (("i_decay", step.i_decay), ("v_decay", step.v_decay)):
            if abs(DECAY_ONE * fraction - _decay_mant(fraction)) > DECAY_EXACT:
                raise _off_grid(neuron, key, DECAY_ONE * fraction)
    _check_range(layer, kept, threshold_mant)
    i_decay, v_decay = _decay_mant(step.i_decay), _decay_mant(step.v_decay)
    integer = IntegerLayer(
        name=layer.name,
        kind=layer.kind,
        weight=kept,
        bias=bias_mant if np.any(bias_mant) else None,
        i_decay=i_decay,
        v_decay=v_decay,
        vth_mant=int(threshold_mant),
        input_shape=layer.input_shape,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        scale=scale,
    )
    row = LayerQuantisation(
        name=layer.name,
        kind=layer.kind,
        neuron=neuron,
        scale=scale,
        exact=given is not None,
        gain=gain,
        divisor=layer.divisor,
        weights=int(kept.size),
        weight_error=_relative(kept, scale * weight),
        bias_error=_relative(bias_mant, scale * bias),
        threshold_error=abs(threshold_mant / (scale * threshold) - 1),
        v_decay_error=abs(v_decay / DECAY_ONE - step.v_decay),
        i_decay_error=abs(i_decay / DECAY_ONE - step.i_decay),
        saturated=int(np.count_nonzero(kept != rounded)),
        threshold_mant=int(threshold_mant),
        v_decay=v_decay,
        i_decay=i_decay,
        folded=layer.folded,
        notes=tuple(notes),
    )
    return integer, row


def _choose_scale(
    name: str, weight: np.ndarray, bias: np.ndarray, threshold: float, bits: int
) -> tuple[float, list[str]]:
    """The largest scale at which weights, bias and threshold all fit."""
    limits = {
        "weights": (256 - 2 ** (9 - bits)) / float(np.abs(weight).max()),
        "threshold": THRESHOLD_LIMIT / threshold,
    }
    if np.any(bias):
        limits["bias"] = BIAS_LIMIT / float(np.abs(bias).max())
    binding = min(limits, key=lambda key: limits[key])
    scale = limits[binding]
    lost = limits["weights"] / scale
    if binding == "weights" or lost < 1 + 1e-12:
        return limits["weights"], []
    if not np.any(np.rint(scale * weight / 2 ** (9 - bits))):
        raise UserError(
            f"its {binding} is so large beside its weights that all weights would round to 0", where=name,
            mend=f"train with a smaller {binding} or larger weights, or check the time step (gains depend on dt)",
        )  # fmt: skip
    return scale, [f"the {binding} made the scale {lost:.3g} times smaller than the weights alone would allow"]


def _exact(name: str, what: str, values: np.ndarray, even: bool = False) -> np.ndarray:
    """The integers that `values` are, up to float32 rounding; UserError naming the worst where they are none."""
    step = 2 if even else 1
    nearest = step * np.rint(values / step)
    off = np.abs(values - nearest) > FLOAT32 * np.maximum(np.abs(values), 1.0)
    if np.any(off):
        place = np.unravel_index(int(np.argmax(np.abs(values - nearest))), values.shape)
        raise _off_grid(name, f"{what}{list(map(int, place)) if place else ''}", float(values[place]), even)
    return nearest


def _off_grid(name: str, what: str, value: float, even: bool = False) -> UserError:
    return UserError(
        f"{what} is {value:.6g} in integer units, which is no {'even ' if even else ''}integer", where=name,
        why="the graph says that this layer is quantised already",
        mend="quantise the network again, or drop the scales to round after training",
    )  # fmt: skip


def _check_range(layer: FoldedLayer, weight: np.ndarray, threshold: float) -> None:
    worst = float(weight.flat[int(np.argmax(np.abs(weight)))])
    if abs(worst) > 254 and layer.folded:
        raise UserError(
            f"weight {worst:g} is outside -254..254 after folding {', '.join(layer.folded)}", where=layer.name,
            mend="pool before the convolution, or use a smaller scale",
        )  # fmt: skip
    if threshold < 1:
        raise UserError(
            f"threshold {threshold:g} is below 1 integer unit", where=layer.name,
            why="it is tiny beside the largest weight", mend="clip outlying weights, or train with a larger threshold",
        )  # fmt: skip


def _decay_mant(fraction: float) -> int:
    return int(np.rint(DECAY_ONE * fraction))


def _relative(kept: np.ndarray, wanted: np.ndarray) -> float:
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(kept - wanted)) / size if size else 0.0
