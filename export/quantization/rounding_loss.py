"""Losses of rounding that the norm over a whole layer hides: weights, rows, biases and leaks that became 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.export.network.row_blocks import row_blocks
from spikeport.export.quantization.scaled_layer import LayerUnits

NAMED = 8  # rows named in a sentence
MOST_LOST = 0.5  # fraction of a layer's weights; if more became 0, this is reported
COARSE_ROW = 0.5  # error of a row over its norm; a larger one is reported
COARSE_THRESHOLD = 2.0  # weight steps; a lower threshold, which one or two smallest weights reach, is reported
FELT = 0.1  # fraction of the threshold; a lost bias that alone would raise the voltage further is reported
COARSE_DECAY = 0.1  # relative error of a decay; a larger one is reported


@dataclass(frozen=True, kw_only=True)
class RoundingLoss:
    """Losses of one layer. A row holds the weights of an output neuron or channel, recurrent ones included.

    Attributes:
        zeroed: number of weights that became 0.
        dead_rows: number of rows whose weights all became 0.
        dead: the first of these rows.
        row_error: largest error of a row, its norm over the norm of the row.
        worst_row: the row with this error.
        lost_biases: number of biases that became 0.
        decay_error: largest relative error of a decay: of the fraction that a time step removes or of the fraction that
            it keeps, whichever is smaller; 1 where one of them became 0.
    """

    zeroed: int = 0
    dead_rows: int = 0
    dead: tuple[int, ...] = ()
    row_error: float = 0.0
    worst_row: int = 0
    lost_biases: int = 0
    decay_error: float = 0.0


@dataclass(frozen=True)
class RowErrors:
    """Rounding of each row of a layer's weights, recurrent ones included.

    Attributes:
        norms: norm of each row before rounding, in integer units.
        errors: norm of the difference that rounding made.
        empty: whether all integers of a row are 0.
        weights: number of weights that were not 0.
        zeroed: number of weights that became 0.
    """

    norms: np.ndarray
    errors: np.ndarray
    empty: np.ndarray
    weights: int
    zeroed: int

    @property
    def relative(self) -> float:
        """Norm of all differences over the norm of all weights."""
        size = float(np.linalg.norm(self.norms))
        return float(np.linalg.norm(self.errors)) / size if size else 0.0


def row_errors(units: LayerUnits, scale: float, sums: Mapping[str, np.ndarray]) -> RowErrors:
    """Compares the weights of a layer with their integers.

    Args:
        units: the layer before scaling and rounding.
        scale: its scale.
        sums: integers "weight" and "weight_rec", summed over copies of inputs.
    """
    pairs = [(units.weight, sums["weight"])]
    if units.weight_rec is not None:
        pairs.append((units.weight_rec, sums["weight_rec"]))
    rows = [(exact.reshape(len(exact), -1), integers.reshape(len(exact), -1)) for exact, integers in pairs]
    count = len(units.weight)
    norms, errors, empty = np.zeros(count), np.zeros(count), np.zeros(count, dtype=bool)
    weights = zeroed = 0
    for block in row_blocks(count, sum(exact.shape[1] for exact, _ in rows)):
        wanted, rounded = (np.concatenate([pair[side][block] for pair in rows], axis=1) for side in (0, 1))
        wanted = scale * wanted
        norms[block], errors[block] = (np.linalg.norm(each, axis=1) for each in (wanted, rounded - wanted))
        empty[block] = ~rounded.any(axis=1)
        weights += int(np.count_nonzero(wanted))
        zeroed += int(np.count_nonzero((wanted != 0) & (rounded == 0)))
    return RowErrors(norms, errors, empty, weights, zeroed)


def rounding_loss(
    units: LayerUnits,
    layer: IntegerLayer,
    found: RowErrors,
    wanted_bias: np.ndarray,
    *,
    silent: bool,
    searched: bool,
) -> tuple[RoundingLoss, list[str]]:
    """Losses of a layer, and a sentence about each that a user must know.

    Args:
        units: the layer before scaling and rounding.
        layer: the layer in integers.
        found: what rounding did to each row.
        wanted_bias: biases in integer units before rounding.
        silent: whether the neurons never fire.
        searched: whether the scale comes from a search, so that a search is not proposed.
    """
    errors = found.errors / np.where(found.norms > 0, found.norms, 1.0)
    dead = np.flatnonzero((found.norms > 0) & found.empty)
    bias = np.zeros(wanted_bias.shape) if layer.bias is None else layer.bias[:: layer.clones]
    lost = (wanted_bias != 0) & (bias == 0)
    loss = RoundingLoss(
        zeroed=found.zeroed,
        dead_rows=len(dead),
        dead=tuple(int(row) for row in dead[:NAMED]),
        row_error=float(errors.max()),
        worst_row=int(errors.argmax()),
        lost_biases=int(np.count_nonzero(lost)),
        decay_error=max(_decay_error(*pair[1:]) for pair in _decays(units)),
    )
    sentences = _weight_sentences(loss, layer, found, searched)
    if not silent:
        sentences += _threshold_sentences(units, layer, np.abs(np.where(lost, wanted_bias, 0.0)))
    return loss, [*sentences, *(sentence for pair in _decays(units) for sentence in _decay_sentences(*pair))]


def _weight_sentences(loss: RoundingLoss, layer: IntegerLayer, found: RowErrors, searched: bool) -> list[str]:
    what = "output channels" if layer.kind == "conv" else "output neurons"
    out = (
        "scale their rows up in training (a weight decay, or a norm a channel), or clip the layer's outlying weights"
        if searched
        else "--calibrate FRAMES.npz searches a scale that clips the few large weights instead"
    )
    apart = ""
    if layer.weight_rec is None and np.all(np.asarray(layer.i_decay) == DECAY_ONE):
        apart = "; --row-scales 2 gives small rows a scale of their own, in a layer of their own"
    sentences = []
    if loss.dead_rows:
        sentences.append(
            f"rounding left {loss.dead_rows} of {len(found.norms)} {what} without any weight ({listed(loss.dead)}"
            f"{', ...' if loss.dead_rows > len(loss.dead) else ''}), beside far larger weights: {out}{apart}"
        )
    elif loss.zeroed > MOST_LOST * found.weights:
        sentences.append(f"{loss.zeroed:,} of {found.weights:,} weights became 0, beside far larger ones: {out}")
    elif loss.row_error > COARSE_ROW:
        sentences.append(
            f"the weights of row {loss.worst_row} are off by {loss.row_error:.2g} of their norm: {out}{apart}"
        )
    return sentences


def _threshold_sentences(units: LayerUnits, layer: IntegerLayer, lost: np.ndarray) -> list[str]:
    sentences = []
    steps = float(np.min(layer.vth_mant)) / 2
    if steps < COARSE_THRESHOLD:
        sentences.append(f"its threshold is only {steps:g} weight steps: a single least weight may make it fire")
    slowest = float(np.min(units.v_decay)) / DECAY_ONE
    reach = float(lost.max()) / max(slowest, 1 / DECAY_ONE) / float(np.min(layer.vth_mant))
    if reach > FELT:
        sentences.append(
            f"{np.count_nonzero(lost)} biases became 0, the largest of which alone would lift the voltage to "
            f"{reach:.2g} of the threshold"
        )
    return sentences


def _decays(units: LayerUnits) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, exact decay, rounded decay in units of 1/4096) of current and voltage; per neuron if neurons differ."""
    found = []
    for key, fraction, rounded in zip(("i", "v"), units.fractions, (units.i_decay, units.v_decay), strict=True):
        meant, mantissas = np.broadcast_arrays(np.asarray(fraction, dtype=np.float64), np.asarray(rounded))
        found.append((key, meant.ravel(), mantissas.ravel()))
    return found


def _decay_error(meant: np.ndarray, rounded: np.ndarray) -> float:
    smaller = np.minimum(meant, 1 - meant)
    off = np.abs(rounded / DECAY_ONE - meant)
    return float(np.max(np.where(smaller > 0, off / np.where(smaller > 0, smaller, 1.0), 0.0)))


def _decay_sentences(key: str, meant: np.ndarray, rounded: np.ndarray) -> list[str]:
    what, least = {"i": "current", "v": "voltage"}[key], f"1/{DECAY_ONE}"
    never, whole = (meant > 0) & (rounded == 0), (meant < 1) & (rounded == DECAY_ONE)
    if never.any():
        leak = meant[never].max()
        return [f"the {what}'s leak of {leak:.3g} a step became 0: it keeps everything (the least leak is {least})"]
    if whole.any():
        left = 1 - meant[whole].min()
        return [f"the {what} keeps {left:.3g} of itself a step, which became nothing (the least is {least})"]
    error = 100 * _decay_error(meant, rounded)
    if error > 100 * COARSE_DECAY:
        return [f"the {what}'s decay is off by {error:.0f} %: near 0 or 1 steps of {least} are coarse"]
    return []


def listed(rows: Sequence[Any]) -> str:
    """The rows, separated by commas.

    Args:
        rows: row numbers or names.
    """
    return ", ".join(map(str, rows))
