"""What quantizing a layer cost, and how far its state can go: one row of the report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer, Parameter
from spikeport.export.quantization.rounding_loss import RoundingLoss, rounding_loss
from spikeport.export.quantization.scaled_layer import LayerUnits


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What quantizing one layer cost. All plain numbers and strings, ready for JSON.

    `scale`: integer units per float unit of v. `exact`: the scale was given and nothing was rounded. Errors:
    `weight_error` (recurrent weights included), `bias_error` are norms of the difference over norms of the values,
    `threshold_error` is relative, `v_decay_error`, `i_decay_error` are absolute fractions per step. `saturated`:
    weights clipped at the grid's end. `threshold_steps`: threshold in steps of the weight grid (2 units); few of them
    mean a coarse neuron. Thresholds and decays of neurons that differ: the smallest. `scale_limit`: the largest scale
    at which bias and threshold fit (None: neither matters). `accumulator_bound`: the largest sum of |weights| in a
    row, which Loihi 1 holds to 2^21 (spec 6). `current_bound`, `voltage_bound`: the largest states that spikes could
    bring about, against 2^23; None where nothing bounds them. `folded`: nodes that vanished into this layer. `notes`:
    choices a reader should know. `loss`: what rounding took away altogether, row by row, `losses` the sentences about
    it that a user must know; they stand in `notes` too.
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
) -> LayerReport:  # fmt: skip
    """The row of a layer that came from `units` at `scale`, which was `searched` or not."""
    loss = RoundingLoss()
    losses: list[str] = []
    if not exact:
        loss, losses = rounding_loss(units, layer, wanted_bias, silent=silent, searched=searched)
    kept, wanted = [layer.weight.ravel()], [scale * units.weight.ravel()]
    if layer.weight_rec is not None and units.weight_rec is not None:
        kept.append(layer.weight_rec.ravel())
        wanted.append(scale * units.weight_rec.ravel())
    bias = np.zeros(wanted_bias.shape) if layer.bias is None else layer.bias
    threshold = np.asarray(layer.vth_mant)
    i_error, v_error = units.decay_errors
    threshold_error = 0.0 if silent else float(np.max(np.abs(threshold / (scale * np.asarray(units.threshold)) - 1)))
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        neuron=units.neuron,
        scale=scale,
        exact=exact,
        gain=units.gain,
        divisor=units.layer.divisor,
        weights=sum(int(array.size) for array in kept),
        weight_error=_relative(np.concatenate(kept), np.concatenate(wanted)),
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
        **_of_integers(layer, silent),
    )


def relay_report(layer: IntegerLayer, for_layer: str) -> LayerReport:
    """The row of a layer that was added: it hands its input on and has a bias neuron, nothing is rounded."""
    note = (f"added before {for_layer}: hands every spike on and adds a neuron that always fires, whose weights are "
            f"the bias of {for_layer}")  # fmt: skip
    return LayerReport(
        name=layer.name, kind=layer.kind, neuron=layer.name, scale=1.0, exact=True, gain=1.0, divisor=1,
        weights=int(layer.weight.size), weight_error=0.0, bias_error=0.0, threshold_error=0.0, v_decay_error=0.0,
        i_decay_error=0.0, saturated=0, scale_limit=None, notes=(note,), **_of_integers(layer, False),
    )  # fmt: skip


def with_bias_neuron(row: LayerReport, layer: IntegerLayer, for_layer: str) -> LayerReport:
    """The row of a layer that got a bias neuron."""
    note = f"a neuron that always fires was added; its weights are the bias of {for_layer}"
    weights = layer.weight.size + (0 if layer.weight_rec is None else layer.weight_rec.size)
    return replace(row, weights=int(weights), notes=(*row.notes, note))


def state_bounds(
    weight: np.ndarray, weight_rec: np.ndarray | None, bias: np.ndarray, i_decay: Parameter, v_decay: Parameter,
    vth: Parameter | None,
) -> tuple[float, float | None, float | None]:  # fmt: skip
    """(sum of |weights|, |current|, |voltage|) that no spikes can exceed, over all neurons, in the chip's state units.

    Geometric series of the largest step; truncation toward zero only shrinks them. `vth`: where v is reset, which
    bounds it from above; None where it never is. None where a decay is 0 and nothing bounds the state.
    """
    rows = weight.reshape(len(weight), -1)
    if weight_rec is not None:
        rows = np.concatenate([rows, weight_rec], axis=1)
    reach = np.maximum(np.where(rows > 0, rows, 0).sum(axis=1), np.where(rows < 0, -rows, 0).sum(axis=1))
    total = float(np.abs(rows).sum(axis=1).max())
    slowest, keeps = float(np.min(i_decay)) / DECAY_ONE, float(np.min(v_decay)) / DECAY_ONE
    if slowest == 0:
        return total, None, None
    unit = 1 << STATE_SHIFT
    current = unit * reach / slowest
    step = float((current + unit * np.abs(bias).reshape(len(rows), -1).max(axis=1)).max())
    if keeps:
        return total, float(current.max()), step / keeps
    if vth is not None and not np.any(rows < 0) and not np.any(bias < 0):
        return total, float(current.max()), unit * float(np.max(vth)) + step
    return total, float(current.max()), None


def _of_integers(layer: IntegerLayer, silent: bool) -> dict:
    bias = np.zeros(layer.weight.shape[0]) if layer.bias is None else layer.bias.astype(np.float64)
    total, current, voltage = state_bounds(
        layer.weight.astype(np.float64),
        None if layer.weight_rec is None else layer.weight_rec.astype(np.float64),
        bias,
        layer.i_decay,
        layer.v_decay,
        None if silent else layer.vth_mant,
    )
    return {
        "threshold_mant": int(np.min(layer.vth_mant)),
        "threshold_steps": float(np.min(layer.vth_mant)) / 2,
        "v_decay": int(np.min(layer.v_decay)),
        "i_decay": int(np.min(layer.i_decay)),
        "accumulator_bound": int(total),
        "current_bound": None if current is None else int(np.ceil(current)),
        "voltage_bound": None if voltage is None else int(np.ceil(voltage)),
    }


def _relative(kept: np.ndarray, wanted: np.ndarray) -> float:
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(kept - wanted)) / size if size else 0.0
