"""Combines a folded layer and the Euler step of its neurons into one chip layer, before scaling and rounding.

The state is v times the layer's divisor. Gains and thresholds that differ between neurons are multiplied into the rows
of the weights. Constant inputs become biases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.graph.parameters import Value, beside, per_row
from spikeport.export.lowering.discretize import EulerStep
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.network.fixed_point import DECAY_ONE

Mantissa = int | np.ndarray
LARGEST = 1e100  # sums and products of such values stay finite


@dataclass(frozen=True, kw_only=True)
class LayerUnits:
    """Values of one chip layer in float units.

    Attributes:
        layer: the folded layer.
        neuron: name of the neuron's node.
        weight: weights as in the layer, times gains.
        weight_rec: recurrent weights, times gains.
        bias: constant input of the current in each time step, one for each row, or of the output's shape.
        drive: constant input of the voltage in each time step, of the same form.
        threshold: one number, or one for each neuron.
        i_decay: fraction of the current that a time step removes, in units of 1/4096, rounded.
        v_decay: the same of the voltage.
        fractions: both fractions before rounding, 0 to 1.
        gain: largest factor that was multiplied into the weights.
        notes: choices that a reader should know.
        fires_at: ">": neurons fire above the threshold; ">=": also where v equals it.
    """

    layer: FoldedLayer
    neuron: str
    weight: np.ndarray
    weight_rec: np.ndarray | None
    bias: np.ndarray
    drive: np.ndarray
    threshold: Value
    i_decay: Mantissa
    v_decay: Mantissa
    fractions: tuple[Value, Value]
    gain: float
    notes: tuple[str, ...] = ()
    fires_at: str = ">"

    @property
    def decay_errors(self) -> tuple[float, float]:
        """Largest absolute errors of the decays of current and voltage, as fractions per time step."""
        pairs = zip((self.i_decay, self.v_decay), self.fractions, strict=True)
        i_error, v_error = (float(np.max(np.abs(np.asarray(mant) / DECAY_ONE - exact))) for mant, exact in pairs)
        return i_error, v_error

    @property
    def slow_bias(self) -> bool:
        """Whether a bias meets a current that lasts longer than a time step, which the chip does not support."""
        return bool(np.any(self.bias) and np.any(np.asarray(self.i_decay) != DECAY_ONE))


def layer_units(
    layer: FoldedLayer, neuron: str, step: EulerStep, *, allow_vector: bool = False, keep_rows: bool = False
) -> LayerUnits:
    """The values of a layer in float units of v times its divisor.

    Args:
        layer: the folded layer.
        neuron: name of the neuron's node.
        step: the Euler step of its neurons.
        allow_vector: whether neurons of the layer may have decays and thresholds of their own (simulators only).
        keep_rows: whether rows are not scaled if thresholds differ, because they are on the integer grid already.

    Raises:
        UserError: a parameter differs between neurons in a way that the chip cannot hold, or is not finite.
    """
    shape = layer.output_shape
    step = _with_row_gain(neuron, step, shape, allow_vector and layer.weight_rec is None)
    gain, notes = _row_gain(step.gain, shape), list(step.notes)
    weight_gain = layer.gain * gain
    weight, bias = _times(weight_gain, layer.weight), _times(weight_gain, layer.bias)
    weight_rec = None if layer.weight_rec is None else _times(gain, layer.weight_rec)
    if layer.bias_rec is not None:
        bias = bias + gain * layer.bias_rec
    drive = _rows_or_map(layer.divisor * np.asarray(step.drive), shape)
    threshold: Value = _shaped(layer.divisor * np.asarray(step.threshold), shape)
    if np.ndim(threshold) and not (keep_rows and allow_vector):
        factors = _row_factors(neuron, np.asarray(threshold), shape, allow_vector)
        if factors is not None:
            threshold = float(np.max(threshold))
            weight, bias, drive = (_times(factors, array) for array in (weight, bias, drive))
            weight_rec = None if weight_rec is None else _times(factors, weight_rec)
            notes.append(f"thresholds differ: rows were multiplied by {factors.min():.4g} to {factors.max():.4g} and "
                         "share the largest")  # fmt: skip
    if np.ndim(threshold):
        notes.append("each neuron has a threshold of its own: simulators only, the chip shares them")
    if np.ndim(weight_gain) and np.ptp(weight_gain) > 0:
        notes.append(f"gains of {np.min(weight_gain):.4g} to {np.max(weight_gain):.4g} went into rows of the weights")
    _check_finite(layer.name, weight=weight, weight_rec=weight_rec, bias=bias, drive=drive)
    i_decay = _decay(neuron, "i_decay", step.i_decay, shape, allow_vector)
    v_decay = _decay(neuron, "v_decay", step.v_decay, shape, allow_vector)
    if np.ndim(i_decay) or np.ndim(v_decay):
        notes.append("each neuron has decays of its own: simulators only, the chip shares them")
    return LayerUnits(
        layer=layer,
        neuron=neuron,
        weight=weight,
        weight_rec=weight_rec,
        bias=bias,
        drive=drive,
        threshold=threshold,
        i_decay=i_decay,
        v_decay=v_decay,
        fractions=(_shaped(np.asarray(step.i_decay), shape), _shaped(np.asarray(step.v_decay), shape)),
        gain=float(np.ravel(weight_gain)[int(np.argmax(np.abs(np.ravel(weight_gain))))]),
        notes=tuple(notes),
    )


def _times(rows: float | np.ndarray, array: np.ndarray) -> np.ndarray:
    """`array` with each row multiplied; itself where every factor is 1."""
    return array if np.all(np.asarray(rows) == 1) else beside(rows, array) * array


def _check_finite(name: str, **arrays: np.ndarray | None) -> None:
    for key, array in arrays.items():
        if array is not None and not (array.max(initial=0) < LARGEST and array.min(initial=0) > -LARGEST):
            raise UserError(f"{key} times its gain is not finite", where=name,
                            hint="check r, tau and the time step (gains depend on dt)")  # fmt: skip


def _with_row_gain(neuron: str, step: EulerStep, shape: tuple[int, ...], vector: bool) -> EulerStep:
    """`step` with gains that rows of weights can hold.

    Other gains become thresholds of each neuron where these are allowed; v divided by its gain gives equal spikes.
    """
    if np.ndim(step.gain) == 0 or per_row(step.gain, shape) is not None:
        return step
    if vector and step.fires and np.all(np.asarray(step.gain) > 0):
        return replace(step, gain=1.0, threshold=step.threshold / step.gain, drive=step.drive / step.gain)
    raise NeedsAdaptError(
        f"its input gains differ within a channel ({np.min(step.gain):g} to {np.max(step.gain):g})", where=neuron,
        cause="a convolution has one set of weights a channel",
        hint="train one r (and w_in) per channel; --allow-vector for simulators only",
    )  # fmt: skip


def _row_gain(gain: Value, shape: tuple[int, ...]) -> float | np.ndarray:
    rows = None if np.ndim(gain) == 0 else per_row(gain, shape)
    return float(gain) if rows is None else rows


def _row_factors(neuron: str, threshold: np.ndarray, shape: tuple[int, ...], allow_vector: bool) -> np.ndarray | None:
    """Factor of each row, so that all share the largest threshold; None where each neuron keeps its own."""
    rows = per_row(threshold, shape)
    if rows is not None:
        return rows.max() / rows
    if allow_vector:
        return None
    raise NeedsAdaptError(
        f"v_threshold differs within a channel ({threshold.min():g} to {threshold.max():g})", where=neuron,
        cause="the chip's neurons share thresholds, and a convolution has one set of weights a channel",
        hint="train one threshold per channel; --allow-vector for simulators only",
    )  # fmt: skip


def _decay(neuron: str, key: str, fraction: Value, shape: tuple[int, ...], allow_vector: bool) -> Mantissa:
    mantissas = np.rint(DECAY_ONE * np.asarray(fraction)).astype(np.int64)
    if np.all(mantissas == mantissas.flat[0]):
        return int(mantissas.flat[0])
    if not allow_vector:
        raise NeedsAdaptError(
            f"{key} differs between neurons ({mantissas.min()} to {mantissas.max()} of {DECAY_ONE} a step)",
            where=neuron, cause="a layer on the chip has one set of decays",
            hint="train one time constant per layer; --allow-vector for simulators only",
        )  # fmt: skip
    return mantissas.reshape(shape)


def _shaped(values: np.ndarray, shape: tuple[int, ...]) -> Value:
    return float(values) if values.ndim == 0 else values.reshape(shape)


def _rows_or_map(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One value for each row if they are equal within it, else values of `shape`."""
    if values.ndim == 0:
        return np.full(shape[0], float(values))
    rows = per_row(values, shape)
    return values.reshape(shape) if rows is None else rows
