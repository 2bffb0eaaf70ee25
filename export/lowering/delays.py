"""Folds Delay nodes into the synaptic delays of the adjacent dense layer, in whole time steps."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import DELAY_LIMIT
from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.parameters import on_layer
from spikeport.export.lowering.folded_layer import FoldedLayer

DELAY_EXACT = 1e-3  # largest distance, in steps, of a delay that is rounded to a whole number of steps


def _delay_steps(step: ChainNode, dt_s: float) -> np.ndarray:
    """Delays in time steps, int64 of the layer's shape."""
    seconds = on_layer(step.name, "delay", cast("nir.Delay", step.node).delay, step.input_shape)
    if not np.all(np.isfinite(seconds)):
        raise UserError("its delays hold NaN or infinity", where=step.name, hint="export the network again")
    exact = seconds / dt_s
    steps = np.rint(exact)
    off = ~(np.abs(exact - steps) <= DELAY_EXACT)
    if np.any(off):
        worst = float(seconds[off].flat[0])
        raise UserError(
            f"a delay of {worst:g} s is {worst / dt_s:g} steps of {dt_s:g} s", where=step.name,
            cause="the chip delays by whole steps", hint="train with delays that are multiples of the time step",
        )  # fmt: skip
    if steps.min() < 0 or steps.max() > DELAY_LIMIT:
        raise UserError(
            f"delays of {steps.min():g} to {steps.max():g} steps are outside 0..{DELAY_LIMIT}", where=step.name,
            cause="a delay has 6 bits and netx clamps above 62", hint="use a longer time step, or shorter delays",
        )  # fmt: skip
    return steps.astype(np.int64)


def delay_inputs(layer: FoldedLayer, step: ChainNode, dt_s: float) -> FoldedLayer:
    """Folds a Delay before a layer into the delays of the layer's inputs.

    Args:
        layer: the layer.
        step: the Delay node.
        dt_s: time step in seconds.

    Raises:
        UserError: a delay is not a whole number of steps or out of range, or the layer is a convolution.
    """
    delays = _delay_steps(step, dt_s)
    layer = replace(layer, folded=(*layer.folded, step.name))
    if not delays.any():
        return layer
    _check_delayed(layer, step)
    columns = delays.reshape(1, -1)
    columns = columns[:, :1] if np.all(columns == columns[0, 0]) else columns
    return replace(layer, delay=columns if layer.delay is None else layer.delay + columns)


def delay_outputs(layer: FoldedLayer, step: ChainNode, dt_s: float) -> FoldedLayer:
    """Folds a Delay after a layer into the delays of the layer's outputs.

    Args:
        layer: the layer. Its delayed outputs must not have a bias, since the chip does not delay a bias.
        step: the Delay node.
        dt_s: time step in seconds.

    Raises:
        UserError: a delay is not a whole number of steps or out of range, the layer is a convolution, or a delayed
            output has a bias.
    """
    delays = _delay_steps(step, dt_s)
    layer = replace(layer, folded=(*layer.folded, step.name))
    if not delays.any():
        return layer
    _check_delayed(layer, step)
    if np.any(layer.bias[(delays > 0).ravel()]):
        raise UserError(
            f"delays the bias of {layer.name} too", where=step.name,
            cause="on the chip a bias acts from the first step on", hint="put the delay before the weights",
        )  # fmt: skip
    rows = delays.reshape(-1, 1)
    rows = rows[:1] if np.all(rows == rows[0, 0]) else rows
    return replace(layer, delay=rows if layer.delay is None else layer.delay + rows)


def _check_delayed(layer: FoldedLayer, step: ChainNode) -> None:
    if layer.kind != "dense":
        raise UserError(
            f"delays the spikes of the convolution {layer.name}", where=step.name,
            cause="netx drops delays of convolutions", hint="put the delay before a Linear, or train without it",
        )  # fmt: skip
