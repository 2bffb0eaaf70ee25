"""Rounds one layer to the integer grid: its scale, its integers, and its report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import check_layer, netx_fault, netx_weights
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, STATE_SHIFT, THRESHOLD_LIMIT
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.export.network.row_blocks import row_blocks
from spikeport.export.quantization.clones import clone_note, cloned_fields, kept_by_netx, spread
from spikeport.export.quantization.layer_report import LayerReport, layer_report, state_bounds
from spikeport.export.quantization.scaled_layer import LayerUnits
from spikeport.export.quantization.thresholds import FLOAT32, threshold_mantissa, threshold_notes

DECAY_EXACT = 1e-3  # the same for 4096 dt/tau, where tau may be float32
NUDGES = 4  # steps by which a weight may come closer to 0, so that netx keeps it
COSTLY = 2.0  # a voltage bound that would divide the scale by more than this is noted and not enforced


def quantize_layer(
    units: LayerUnits,
    *,
    given: float | None,
    searched: float | None,
    bits: int,
    silent: bool,
    clones: tuple[int, int] = (1, 1),
) -> tuple[IntegerLayer, LayerReport]:
    """Rounds a layer.

    Args:
        units: the layer in float units.
        given: scale of a layer that lies on the grid already; nothing is rounded.
        searched: scale of a search; weights beyond the grid are clipped. Without both, the max-abs scale is taken.
        bits: bits of a weight.
        silent: whether the neurons' voltage is the read-out, so that they must never fire.
        clones: copies of each input, and of each neuron of the layer.

    Returns:
        The layer in integers, and its report.

    Raises:
        UserError: the layer cannot be represented on the grid.
    """
    layer, name = units.layer, units.layer.name
    weights = [array for array in (units.weight, units.weight_rec) if array is not None]
    if not any(array.any() for array in weights):
        raise UserError("all weights are zero", where=name, cause="netx divides by the largest of them",
                        hint="prune the layer or train it longer")  # fmt: skip
    bias = _sum(units.bias, units.drive, layer.output_shape)
    notes = [*units.notes, *threshold_notes(units, silent=silent)]
    limit = _scale_limit(bias, units.threshold, silent)
    grid = 1 if given is not None else 2 ** (9 - bits)
    if given is not None:
        scale = given
    elif searched is not None:
        scale = _checked(name, searched, limit)
    else:
        scale, note = _choose_scale(units, weights, limit, grid, silent, clones)
        notes += note
    integers: dict[str, np.ndarray] = {}
    saturated = 0
    for key in ("weight", "weight_rec"):
        exact = getattr(units, key)
        if exact is None:
            continue
        if given is None:
            largest = clones[key == "weight_rec"] * (256 - grid)
            integers[key], clipped = _rounded(exact, scale, grid, largest)
            saturated += clipped
        else:
            integers[key] = _exact(name, key, scale * exact, even=True)
    entering, own = clones
    weights_on_chip = integers if clones == (1, 1) else spread(integers, layer.input_shape, grid, entering, own)
    if given is None and layer.kind == "dense":
        weights_on_chip = kept_by_netx(weights_on_chip, layer.input_shape, grid, entering)
        weights_on_chip, moved = _loaded_by_netx(weights_on_chip)
        if clones == (1, 1):
            integers = weights_on_chip
        notes += moved
    mantissa = np.rint(scale * bias) if given is None else _exact(name, "bias", scale * bias)
    threshold = _threshold(units, scale, given is not None, silent)
    if given is not None:
        _check_decays(units)
    elif not any(array.any() for array in integers.values()):
        raise UserError(f"all weights round to 0 at scale {scale:g}", where=name, hint="use a larger scale")
    _check_range(layer, weights_on_chip["weight"], threshold)
    fields = cloned_fields(
        layer, entering, own, mantissa if np.any(mantissa) else None,
        i_decay=units.i_decay, v_decay=units.v_decay, vth_mant=threshold,
    )  # fmt: skip
    integer = IntegerLayer(
        name=name,
        kind=layer.kind,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        scale=scale,
        weight=weights_on_chip["weight"],
        weight_rec=weights_on_chip.get("weight_rec"),
        clones=own,
        **fields,
    )
    if own > 1:
        notes.append(clone_note(integer))
    check_layer(integer)
    row = layer_report(
        units, integer, exact=given is not None, scale=scale, wanted_bias=scale * bias, scale_limit=limit,
        saturated=saturated, silent=silent, searched=searched is not None, notes=notes, sums=integers,
    )  # fmt: skip
    return integer, row


def _rounded(exact: np.ndarray, scale: float, grid: int, largest: int) -> tuple[np.ndarray, int]:
    """Weights on the grid, int32, and the number of those that were clipped to `largest`."""
    integers = np.empty(exact.shape, dtype=np.int32)
    clipped = 0
    for block in row_blocks(len(exact), math.prod(exact.shape[1:])):
        rounded = grid * np.rint(scale * exact[block] / grid)
        clipped += int(np.count_nonzero(np.abs(rounded) > largest))
        integers[block] = np.clip(rounded, -largest, largest)
    return integers, clipped


def _loaded_by_netx(integers: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The weights, with those that netx and Lava would change moved closer to 0 by 2, and a note about it."""
    if not any(array.any() for array in integers.values()) or not netx_fault(*integers.values()):
        return integers, []
    before = list(integers.values())
    matrices = [array.copy() for array in before]
    for _ in range(NUDGES):
        if not any(array.any() for array in matrices):
            break  # the caller refuses weights that are all 0
        loaded, _shift = netx_weights(*matrices)
        if all(np.array_equal(ours, theirs) for ours, theirs in zip(matrices, loaded, strict=True)):
            break
        for ours, theirs in zip(matrices, loaded, strict=True):
            ours[ours != theirs] -= 2 * np.sign(ours[ours != theirs])
    count = sum(int(np.count_nonzero(ours != old)) for ours, old in zip(matrices, before, strict=True))
    notes = [f"{count} weights went nearer to 0 by 2: netx would have run them as others"] if count else []
    return dict(zip(integers, matrices, strict=True)), notes


def _sum(bias: np.ndarray, drive: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum of two constants: one value per row if both have one per row, else a map."""
    if bias.ndim == drive.ndim:
        return bias + drive
    rows, maps = (bias, drive) if bias.ndim < drive.ndim else (drive, bias)
    return rows.reshape(-1, *(1 for _ in shape[1:])) + maps


def _scale_limit(bias: np.ndarray, threshold: Any, silent: bool) -> dict[str, float]:
    """Largest scales at which threshold and bias are legal; only those that limit the scale."""
    limits = {} if silent else {"threshold": THRESHOLD_LIMIT / float(np.max(threshold))}
    if np.any(bias):
        limits["bias"] = BIAS_LIMIT / float(np.abs(bias).max())
    return limits


def _checked(name: str, scale: float, limits: dict[str, float]) -> float:
    if not (np.isfinite(scale) and scale > 0):
        raise UserError(f"scale {scale} is not positive", where=name)
    for what, limit in limits.items():
        if scale > limit * (1 + 1e-12):
            raise UserError(f"at scale {scale:g} the {what} would not fit", where=name,
                            hint=f"use a scale of {limit:g} at most")  # fmt: skip
    return scale


def _choose_scale(
    units: LayerUnits,
    weights: list[np.ndarray],
    limits: dict[str, float],
    grid: int,
    silent: bool,
    clones: tuple[int, int],
) -> tuple[float, list[str]]:
    """Largest scale at which weights, bias and threshold fit, and the voltage if it is the read-out."""
    name = units.layer.name
    largest = max(
        max(float(array.max()), -float(array.min())) / copies for array, copies in zip(weights, clones, strict=False)
    )
    limits = {"weights": (256 - grid) / largest, **limits}
    notes = []
    if silent:
        _, _, voltage = state_bounds(units.weight, units.weight_rec, _sum(
            units.bias, units.drive, units.layer.output_shape), units.i_decay, units.v_decay, None)  # fmt: skip
        bound = None if voltage is None else (THRESHOLD_LIMIT << STATE_SHIFT) / voltage
        if bound is not None and bound * COSTLY >= min(limits.values()):
            limits["voltage"] = bound
        else:
            notes.append("its voltage is not proven to stay within 24 bits for every input: watch it on your frames")
    binding = min(limits, key=lambda key: limits[key])
    scale = limits[binding]
    lost = limits["weights"] / scale
    if binding == "weights" or lost < 1 + 1e-12:
        return limits["weights"], notes
    if not any(np.rint(scale * array / grid).any() for array in weights):
        raise UserError(
            f"its {binding} is so large beside its weights that all weights would round to 0", where=name,
            hint=f"train with a smaller {binding} or larger weights, or check the time step (gains depend on dt)",
        )  # fmt: skip
    return scale, [*notes, f"the {binding} made the scale {lost:.3g} times smaller than the weights alone would allow"]


def _threshold(units: LayerUnits, scale: float, exact: bool, silent: bool) -> Any:
    if silent:
        return THRESHOLD_LIMIT
    values = scale * np.asarray(units.threshold)
    if exact:
        values = _exact(units.layer.name, "threshold", values)
    mantissa = threshold_mantissa(units, values)
    return float(mantissa) if mantissa.ndim == 0 else mantissa


def _check_decays(units: LayerUnits) -> None:
    for key, fraction, rounded in zip(
        ("i_decay", "v_decay"), units.fractions, (units.i_decay, units.v_decay), strict=True
    ):  # fmt: skip
        exact = DECAY_ONE * np.asarray(fraction)
        off = np.abs(exact - rounded)
        if np.any(off > DECAY_EXACT):
            raise _off_grid(units.neuron, key, float(np.broadcast_to(exact, off.shape).flat[int(np.argmax(off))]))


def _exact(name: str, what: str, values: np.ndarray, even: bool = False) -> np.ndarray:
    """`values` as integers, which they are up to float32 rounding; UserError with the worst value if they are not."""
    step = 2 if even else 1
    nearest = step * np.rint(values / step)
    off = np.abs(values - nearest) > FLOAT32 * np.maximum(np.abs(values), 1.0)
    if np.any(off):
        place = np.unravel_index(int(np.argmax(np.abs(values - nearest))), values.shape)
        raise _off_grid(name, f"{what}{list(map(int, place)) if place else ''}", float(values[place]), even)
    return nearest


def _off_grid(name: str, what: str, value: float, even: bool = False) -> UserError:
    return UserError(
        f"{what} is {value:.6g} in integer units, which is not an {'even ' if even else ''}integer", where=name,
        cause="the graph states a scale for this layer, so that it must be quantized already",
        hint="quantize the network again, or drop the scales to round after training",
    )  # fmt: skip


def _check_range(layer: FoldedLayer, weight: np.ndarray, threshold: Any) -> None:
    worst = max(float(weight.min()), float(weight.max()), key=abs)
    if abs(worst) > 254 and layer.folded:
        raise UserError(
            f"weight {worst:g} is outside -254..254 after folding {', '.join(layer.folded)}", where=layer.name,
            hint="pool before the convolution, or use a smaller scale",
        )  # fmt: skip
    lowest = float(np.min(threshold))
    if lowest < 1:
        raise UserError(
            f"threshold {lowest:g} is below 1 integer unit", where=layer.name,
            cause="it is tiny beside the largest weight",
            hint="clip outlying weights, or train with a larger threshold",
        )  # fmt: skip
