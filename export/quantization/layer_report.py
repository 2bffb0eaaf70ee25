"""Report of one quantized layer: errors of rounding, and bounds of its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer, Parameter
from spikeport.export.network.row_blocks import row_blocks
from spikeport.export.quantization.rounding_loss import RoundingLoss, rounding_loss, row_errors
from spikeport.export.quantization.scaled_layer import LayerUnits
from spikeport.export.quantization.thresholds import fires_one_later


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """Report of one layer. Where thresholds or decays of neurons differ, the smallest is given.

    Attributes:
        name: name of the layer.
        kind: "dense", "conv" or "input".
        neuron: name of the neuron's node.
        scale: integer units for one float unit of v.
        exact: whether the scale was given and nothing was rounded.
        gain: largest factor that was multiplied into the weights.
        divisor: divisor that was multiplied into threshold and bias instead of dividing weights.
        weights: number of weights, recurrent ones included.
        weight_error: norm of the difference of weights over their norm, recurrent weights included.
        bias_error: the same of biases.
        threshold_error: relative error of the threshold.
        v_decay_error: absolute error of the voltage decay, a fraction per time step.
        i_decay_error: the same of the current decay.
        saturated: number of weights clipped to the end of the grid.
        threshold_mant: threshold in integer units.
        v_decay: voltage that a time step removes, in units of 1/4096.
        i_decay: the same of the current.
        threshold_steps: threshold in steps of the weight grid (2 units); few steps mean a coarse neuron.
        scale_limit: largest scale at which bias and threshold fit; None if neither limits it.
        accumulator_bound: largest sum of |weights| in a row; Loihi 1's accumulator holds 2^21.
        current_bound: largest possible current; the limit is 2^23; None if it is unbounded.
        voltage_bound: largest possible voltage; the limit is 2^23; None if it is unbounded.
        folded: nodes that were folded into this layer.
        notes: choices that a reader should know.
        loss: weights, rows, biases and leaks that rounding removed.
        losses: sentences about `loss` for people; `notes` contains them too.
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
    threshold_steps: float
    scale_limit: float | None
    accumulator_bound: int
    current_bound: int | None
    voltage_bound: int | None
    folded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    loss: RoundingLoss = field(default_factory=RoundingLoss)
    losses: tuple[str, ...] = ()


def layer_report(
    units: LayerUnits, layer: IntegerLayer, *, exact: bool, scale: float, wanted_bias: np.ndarray,
    scale_limit: dict[str, float], saturated: int, silent: bool, searched: bool, notes: list[str],
    sums: Mapping[str, np.ndarray],
) -> LayerReport:  # fmt: skip
    """The report of `layer`, which was made of `units` at `scale`.

    Args:
        units: the layer before scaling and rounding.
        layer: the layer in integers.
        exact: whether nothing was rounded.
        scale: the scale.
        wanted_bias: biases in integer units before rounding.
        scale_limit: the largest scales for bias and threshold; only those that limit the scale.
        saturated: number of weights that were clipped.
        silent: whether the neurons never fire.
        searched: whether the scale comes from a search.
        notes: choices that a reader should know.
        sums: integers "weight" and "weight_rec", summed over copies of inputs.
    """
    loss = RoundingLoss()
    losses: list[str] = []
    rows = row_errors(units, scale, sums)
    if not exact:
        loss, losses = rounding_loss(units, layer, rows, wanted_bias, silent=silent, searched=searched)
    bias = np.zeros(wanted_bias.shape) if layer.bias is None else layer.bias[:: layer.clones]
    threshold = np.asarray(layer.vth_mant) + int(fires_one_later(units))
    i_error, v_error = units.decay_errors
    threshold_error = 0.0 if silent else float(np.max(np.abs(threshold / (scale * np.asarray(units.threshold)) - 1)))
    accumulator, current, voltage = _bounds(layer, silent)
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        neuron=units.neuron,
        scale=scale,
        exact=exact,
        gain=units.gain,
        divisor=units.layer.divisor,
        weights=int(layer.weight.size) + (0 if layer.weight_rec is None else int(layer.weight_rec.size)),
        weight_error=rows.relative,
        bias_error=_relative(bias, wanted_bias),
        threshold_error=threshold_error,
        v_decay_error=v_error,
        i_decay_error=i_error,
        saturated=saturated,
        scale_limit=min(scale_limit.values(), default=None),
        folded=units.layer.folded,
        notes=(*notes, *losses),
        loss=loss,
        losses=tuple(losses),
        threshold_mant=int(np.min(layer.vth_mant)),
        threshold_steps=float(np.min(layer.vth_mant)) / 2,
        v_decay=int(np.min(layer.v_decay)),
        i_decay=int(np.min(layer.i_decay)),
        accumulator_bound=accumulator,
        current_bound=current,
        voltage_bound=voltage,
    )


def relay_report(layer: IntegerLayer, for_layer: str) -> LayerReport:
    """Report of a relay layer, which repeats its input and has a bias neuron. Nothing is rounded.

    Args:
        layer: the relay layer.
        for_layer: name of the layer whose bias became weights.
    """
    return repeating_report(
        layer,
        f"added before {for_layer}: hands every spike on and adds a neuron that always fires, whose weights are the "
        f"bias of {for_layer}",
    )


def repeating_report(layer: IntegerLayer, note: str) -> LayerReport:
    """Report of a layer that was added and repeats its input. Nothing is rounded.

    Args:
        layer: the layer.
        note: why it was added.
    """
    accumulator, current, voltage = _bounds(layer, False)
    return LayerReport(
        name=layer.name, kind=layer.kind, neuron=layer.name, scale=1.0, exact=True, gain=1.0, divisor=1,
        weights=int(layer.weight.size), weight_error=0.0, bias_error=0.0, threshold_error=0.0, v_decay_error=0.0,
        i_decay_error=0.0, saturated=0, scale_limit=None, notes=(note,), threshold_mant=int(np.min(layer.vth_mant)),
        threshold_steps=float(np.min(layer.vth_mant)) / 2, v_decay=int(np.min(layer.v_decay)),
        i_decay=int(np.min(layer.i_decay)), accumulator_bound=accumulator, current_bound=current, voltage_bound=voltage,
    )  # fmt: skip


def with_bias_neuron(row: LayerReport, layer: IntegerLayer, for_layer: str) -> LayerReport:
    """Report of a layer to which a bias neuron was added.

    Args:
        row: report of the layer before.
        layer: the enlarged layer.
        for_layer: name of the layer whose bias became weights.
    """
    note = f"a neuron that always fires was added; its weights are the bias of {for_layer}"
    weights = layer.weight.size + (0 if layer.weight_rec is None else layer.weight_rec.size)
    return replace(row, weights=int(weights), notes=(*row.notes, note))


def state_bounds(
    weight: np.ndarray, weight_rec: np.ndarray | None, bias: np.ndarray, i_decay: Parameter, v_decay: Parameter,
    vth: Parameter | None,
) -> tuple[float, float | None, float | None]:  # fmt: skip
    """Bounds of a layer's sums and states, whatever spikes it receives.

    The bounds are geometric series of the largest step; truncation toward zero only makes states smaller.

    Args:
        weight: weights, a row for each output.
        weight_rec: recurrent weights.
        bias: biases.
        i_decay: current that a time step removes, in units of 1/4096.
        v_decay: voltage that a time step removes, in units of 1/4096.
        vth: threshold at which v is reset, which bounds it from above; None if it is never reset.

    Returns:
        (sum of |weights|, |current|, |voltage|), the largest over all neurons, the last two in state units; None where
        a decay is 0 and nothing bounds the state.
    """
    both = [array.reshape(len(weight), -1) for array in (weight, weight_rec) if array is not None]
    upward, downward = np.zeros(len(weight)), np.zeros(len(weight))
    for block in row_blocks(len(weight), sum(array.shape[1] for array in both)):
        rows = np.concatenate([array[block] for array in both], axis=1)
        upward[block], downward[block] = np.maximum(rows, 0).sum(axis=1), -np.minimum(rows, 0).sum(axis=1)
    reach, total = np.maximum(upward, downward), float((upward + downward).max())
    slowest, keeps = float(np.min(i_decay)) / DECAY_ONE, float(np.min(v_decay)) / DECAY_ONE
    if slowest == 0:
        return total, None, None
    unit = 1 << STATE_SHIFT
    current = unit * reach / slowest
    step = float((current + unit * np.abs(bias).reshape(len(reach), -1).max(axis=1)).max())
    if keeps:
        return total, float(current.max()), step / keeps
    if vth is not None and not np.any(downward) and not np.any(bias < 0):
        return total, float(current.max()), unit * float(np.max(vth)) + step
    return total, float(current.max()), None


def _bounds(layer: IntegerLayer, silent: bool) -> tuple[int, int | None, int | None]:
    """`state_bounds` of a layer in whole numbers."""
    bias = np.zeros(layer.weight.shape[0]) if layer.bias is None else layer.bias.astype(np.float64)
    total, current, voltage = state_bounds(
        layer.weight,
        layer.weight_rec,
        bias,
        layer.i_decay,
        layer.v_decay,
        None if silent else layer.vth_mant,
    )
    whole = [None if bound is None else int(np.ceil(bound)) for bound in (current, voltage)]
    return int(total), whole[0], whole[1]


def _relative(integers: np.ndarray, wanted: np.ndarray) -> float:
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(integers - wanted)) / size if size else 0.0
