"""Random sigma-delta networks and inputs, and their dynamics written in plain NumPy, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from random_networks import random_network

from spikeport.export.formats.netx.rules import netx_weights
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout


def random_sdnn(rng: np.random.Generator, *, deepest: int = 3) -> IntegerNetwork:
    """A chain of convolutions and dense layers with biases, thresholds from 0 on, and delays of dense layers.

    Half of them begin with a delta layer, and half end in a sigma. The others take messages, or send them.
    """
    drawn = random_network(rng, deepest=deepest)
    layers: list[IntegerLayer] = []
    if rng.random() < 0.5:
        bias = np.full(drawn.input_shape[0], int(rng.integers(-50, 50))) if rng.random() < 0.4 else None
        layers.append(IntegerLayer(
            name="in", kind="input", neuron="delta", weight=np.array([int(rng.choice([-3, 1, 2, 64]))]), bias=bias,
            i_decay=0, v_decay=0, vth_mant=_threshold(rng), input_shape=drawn.input_shape,
        ))  # fmt: skip
    for index, layer in enumerate(drawn.layers):
        sigma = index == len(drawn.layers) - 1 and rng.random() < 0.5
        changes: dict[str, Any] = {"i_decay": 0, "v_decay": 0, "vth_mant": _threshold(rng)}
        if layer.kind == "dense" and rng.random() < 0.3:
            outputs, inputs = layer.weight.shape
            forms = [(1, 1), (outputs, 1), (1, inputs), (outputs, inputs)]
            changes["delay"] = rng.integers(0, int(rng.choice([2, 9])), forms[int(rng.integers(len(forms)))])
        if sigma:
            changes["bias"] = None
        elif layer.bias is not None and rng.random() < 0.2:
            changes["bias"] = rng.integers(-(2**19) + 1, 2**19, layer.output_shape)
        layers.append(replace(layer, neuron="sigma" if sigma else "sigma-delta", **changes))
    return IntegerNetwork(
        input_shape=drawn.input_shape,
        layers=tuple(layers),
        input_message_bits=0 if layers[0].kind == "input" else 16,
        readout=Readout(kind="values", over_time="last" if layers[-1].neuron == "sigma" else "sum"),
    )


def random_values(rng: np.random.Generator, network: IntegerNetwork) -> np.ndarray:
    """A few samples `[N, T, *input_shape]` of 16 bits: steps, slow drifts and noise, of various size and density."""
    samples, steps = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    shape = (samples, steps, *network.input_shape)
    largest = int(rng.choice([1, 20, 500, 8000, 32767]))
    if network.layers[0].kind == "input":
        largest = min(largest, (2**19 - 60) // abs(int(network.layers[0].weight[0])))
    values = (rng.random(shape) < rng.choice([0.1, 0.5, 1.0])) * rng.integers(-largest, largest + 1, shape)
    if rng.random() < 0.5:
        values = np.clip(values.cumsum(axis=1), -largest, largest)
    return values.astype(np.int16)


def random_case(rng: np.random.Generator) -> tuple[IntegerNetwork, np.ndarray, list[list[np.ndarray]]]:
    """A network, inputs, and the messages of each sample and layer by `sdnn_loop`; drawn until Lava defines them."""
    while True:
        network = random_sdnn(rng)
        frames = random_values(rng, network)
        try:
            return network, frames, [sdnn_loop(network, sample) for sample in frames]
        except OverflowError:
            continue


def sdnn_loop(network: IntegerNetwork, sample: np.ndarray) -> list[np.ndarray]:
    """Messages `[T, ...]` of every layer for one sample `[T, ...]`, step by step in wrapping 32-bit integers."""
    outputs, arriving = [], sample.astype(np.int64)
    for layer in network.layers:
        threshold, bias = int(layer.vth_mant) << 12, layer.bias_map
        sigma = before = residue = np.zeros(layer.output_shape, np.int64)
        sent = np.zeros((len(sample), *layer.output_shape), np.int64)
        for t, frame in enumerate(arriving):
            if layer.kind == "input":
                act = _int32((int(layer.weight[0]) * frame + bias) << 12)
            else:
                sigma = _int32(sigma + _arriving(layer, arriving, t))
                act = np.maximum(_int32(sigma + (bias << 12)), 0)
            change = _int32(act - before + residue)
            passed = np.where(np.abs(change.astype(np.int32)) >= threshold, change, 0)
            before, residue = act, _int32(change - passed)
            sent[t] = sigma if layer.neuron == "sigma" else passed >> 6
        arriving = sent
        outputs.append(sent)
    return outputs


def _arriving(layer: IntegerLayer, messages: np.ndarray, now: int) -> np.ndarray:
    """Weighted sum of the messages that reach each neuron at a step, 24 bits of a convolution, 32 of a matrix."""
    if layer.kind == "dense":
        flat, (_, shift) = messages.reshape(len(messages), -1), netx_weights(layer.weight)
        delays = np.broadcast_to(0 if layer.delay is None else layer.delay, layer.weight.shape)
        total = np.zeros(layer.output_shape, np.int64)
        for late in range(min(layer.max_delay, now) + 1):
            products = np.where(delays == late, layer.weight.astype(np.int64) << shift, 0) * flat[now - late]
            if layer.delay is not None:  # only there Lava adds in 64 bits
                total += _int32(products).sum(axis=1) >> shift
            else:
                total += _int32(products.sum(axis=1)) >> shift
        return _int32(total)
    (ph, pw), (sh, sw), (dh, dw) = layer.padding, layer.stride, layer.dilation
    padded = np.pad(messages[now], ((0, 0), (ph, ph), (pw, pw)))
    total, (_, height, width) = np.zeros(layer.output_shape, np.int64), layer.output_shape
    outputs, inputs = layer.weight.shape[0] // layer.groups, layer.weight.shape[1]
    for o, i, y, x in np.ndindex(*layer.weight.shape):
        window = padded[o // outputs * inputs + i, y * dh :: sh, x * dw :: sw][:height, :width]
        total[o] += int(layer.weight[o, i, y, x]) * window
    if np.abs(total).max() >= 2**31:
        raise OverflowError("Lava converts floats to 32 bits here, which is undefined")
    return (total + 2**23) % 2**24 - 2**23


def _int32(values: np.ndarray) -> np.ndarray:
    return (values + 2**31) % 2**32 - 2**31


def _threshold(rng: np.random.Generator) -> int:
    return int(rng.choice([0, 1, int(rng.integers(0, 30)), int(rng.integers(0, 2000))]))
