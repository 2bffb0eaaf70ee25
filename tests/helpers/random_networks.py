"""Random legal integer networks and inputs, and their dynamics written in plain NumPy, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeport.export.formats.netx.rules import netx_fault
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout


def random_network(rng: np.random.Generator, *, deepest: int = 3, rich: bool = False) -> IntegerNetwork:
    """A chain of convolutions (stride, padding, dilation, groups, not square) and dense layers that is active enough.

    With `rich` also recurrence, delays, parameters and biases that differ between neurons, counts as input, input
    neurons and a membrane as readout.
    """
    if rng.random() < 0.6:
        shape: tuple[int, ...] = (int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9)))
    else:
        shape = (int(rng.integers(1, 9)),)
    input_shape = shape
    layers: list[IntegerLayer] = []
    if rich and rng.random() < 0.1:
        gain = np.array([int(rng.choice([-3, 1, 5]))])
        neuron = _neuron(rng, shape[0])
        if neuron["bias"] is not None:
            neuron["bias"] = np.full(shape[0], np.clip(neuron["bias"][0], -2800, 2800))  # 5 x + bias has 13 bits
        layers.append(IntegerLayer(name="in", kind="input", weight=gain, input_shape=shape, **neuron))
    message_bits = int(rng.integers(1, 9)) if rich and not layers and rng.random() < 0.15 else 0
    for index in range(int(rng.integers(1, deepest + 1))):
        convolve = len(shape) == 3 and rng.random() < 0.8
        layer = _convolution(rng, f"conv{index}", shape) if convolve else _dense(rng, f"dense{index}", shape)
        layers.append(_enriched(rng, layer) if rich else layer)
        shape = layer.output_shape
    readout = Readout(kind="membrane") if rich and rng.random() < 0.2 else Readout()
    return IntegerNetwork(
        input_shape=input_shape, layers=tuple(layers), input_message_bits=message_bits, readout=readout
    )


def random_frames(rng: np.random.Generator, network: IntegerNetwork) -> np.ndarray:
    """A few samples `[N, T, *input_shape]` of random density; counts if the network takes them."""
    samples, steps = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    density = rng.choice([0.05, 0.3, 0.7, 1.0])
    shape = (samples, steps, *network.input_shape)
    return ((rng.random(shape) < density) * rng.integers(1, network.input_limit + 1, shape)).astype(np.uint8)


def _enriched(rng: np.random.Generator, layer: IntegerLayer) -> IntegerLayer:
    """The layer with some of the properties that only rich networks have."""
    changes: dict = {}
    outputs, inputs = layer.weight.shape[0], layer.weight.shape[1]
    if layer.kind == "dense":
        recurrent = rng.random() < 0.3
        if recurrent:
            changes["weight_rec"] = _same_sign(rng, layer.weight, (outputs, outputs))
            square = inputs == outputs and netx_fault(layer.weight, changes["weight_rec"], delayed=True) == ""
        if rng.random() < 0.3 and (not recurrent or square):  # netx delays recurrent layers of full scale only
            forms = [(1, 1), (outputs, 1)] if recurrent else [(1, 1), (outputs, 1), (1, inputs), (outputs, inputs)]
            form = forms[int(rng.integers(len(forms)))]
            changes["delay"] = rng.integers(0, int(rng.choice([3, 12])), form)
    for key in ("i_decay", "v_decay"):
        if rng.random() < 0.15:
            changes[key] = rng.integers(0, 4097, layer.output_shape)
    if rng.random() < 0.15:
        changes["vth_mant"] = rng.integers(1, 900, layer.output_shape)
    if rng.random() < 0.1:
        changes["bias"] = rng.integers(-100, 100, layer.output_shape)
    return replace(layer, **changes)


def _same_sign(rng: np.random.Generator, weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Recurrent weights that legally share the exponent of `weight`."""
    if weight.min() >= 0:
        return rng.integers(0, 256, shape)
    return 2 * rng.integers(-60, 1 if weight.max() <= 0 else 60, shape)


def integer_loop(network: IntegerNetwork, sample: np.ndarray) -> list[np.ndarray]:
    """Spikes of every layer for one sample `[T, ...]`, step by step by Loihi's equations in int64."""
    return [spikes for spikes, _ in integer_states(network, sample)]


def integer_states(network: IntegerNetwork, sample: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `integer_loop`, with the membranes `[T, ...]` of each layer after each step (after a reset)."""
    return [(spikes, voltages) for spikes, voltages, _ in all_states(network, sample)]


def all_states(network: IntegerNetwork, sample: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """As `integer_states`, with the currents `[T, ...]` of each layer in each step; 0 in an input layer."""
    outputs = []
    arriving = sample.astype(np.int64)
    for layer in network.layers:
        u = v = np.zeros(layer.output_shape, dtype=np.int64)
        own = np.zeros((len(sample), *layer.output_shape), dtype=np.int64)
        voltages, currents = np.zeros_like(own), np.zeros_like(own)
        for t, frame in enumerate(arriving):
            bias = layer.bias_map
            if layer.kind == "input":
                a, bias = np.zeros_like(u), bias + int(layer.weight[0]) * frame
            else:
                a = (
                    delayed_sum(layer.weight, layer, arriving, t)
                    if layer.delay is not None
                    else weighted_sum(layer, frame)
                )
            if layer.weight_rec is not None:
                a = a + delayed_sum(layer.weight_rec, layer, own, t - 1)
            u = _in_32_bits(_dec(u, layer.i_decay) + 64 * a)
            u = np.where(u > 2**23, u - 2**24, np.where(u <= -(2**23), u + 2**24, u))
            v = np.clip(_in_32_bits(_dec(v, layer.v_decay) + u + 64 * bias), -(2**23) + 1, 2**23 - 1)
            own[t] = v > 64 * np.asarray(layer.vth_mant, dtype=np.int64)
            v = np.where(own[t], 0, v)
            voltages[t], currents[t] = v, u
        arriving = own
        outputs.append((own.astype(np.uint8), voltages, currents))
    return outputs


def delayed_sum(weight: np.ndarray, layer: IntegerLayer, spikes: np.ndarray, now: int) -> np.ndarray:
    """Sum over j of `weight[i, j] spikes[now - delay[i, j], j]`, nothing before step 0."""
    delays = np.broadcast_to(0 if layer.delay is None else layer.delay, weight.shape)
    flat = spikes.reshape(len(spikes), -1)
    out = np.zeros(weight.shape[0], dtype=np.int64)
    for i, j in np.ndindex(*weight.shape):
        if now >= delays[i, j]:
            out[i] += int(weight[i, j]) * flat[now - delays[i, j], j]
    return out


def weighted_sum(layer: IntegerLayer, frame: np.ndarray) -> np.ndarray:
    """Input of each neuron from one frame of spikes, in plain loops over kernel taps."""
    weight = layer.weight.astype(np.int64)
    if layer.kind == "dense":
        return weight @ frame.reshape(-1)
    (ph, pw), (sh, sw), (dh, dw) = layer.padding, layer.stride, layer.dilation
    padded = np.pad(frame, ((0, 0), (ph, ph), (pw, pw)))
    out = np.zeros(layer.output_shape, dtype=np.int64)
    _, height, width = layer.output_shape
    per_group, inputs = weight.shape[0] // layer.groups, weight.shape[1]
    for o in range(weight.shape[0]):
        first = (o // per_group) * inputs
        for i, y, x in np.ndindex(*weight.shape[1:]):
            window = padded[first + i, y * dh :: sh, x * dw :: sw][:height, :width]
            out[o] += weight[o, i, y, x] * window
    return (out + 2**23) % 2**24 - 2**23


def _in_32_bits(x: np.ndarray) -> np.ndarray:
    """Lava adds states in 32 bits before it reduces them to 24: sums of 2^25 and more overflow there."""
    return (x + 2**31) % 2**32 - 2**31


def _dec(x: np.ndarray, d: int) -> np.ndarray:
    return np.sign(x) * (np.abs(x) * (4096 - d) // 4096)


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = rng.choice(["mixed", "positive", "negative"], p=[0.8, 0.15, 0.05])
    if kind == "positive":
        weights = rng.integers(0, 256, shape)
    elif kind == "negative":
        weights = -2 * rng.integers(0, 128, shape)
    else:
        weights = 2 * rng.integers(-int(rng.choice([5, 40, 127])), 128, shape)
    if not weights.any():
        weights.flat[0] = -2 if kind == "negative" else 2
    if netx_fault(weights):  # all below one, and the lowest a power of two
        weights.flat[0] = -254
    return weights


def _neuron(rng: np.random.Generator, outputs: int) -> dict:
    decays = [0, 1, 4095, 4096, int(rng.integers(0, 4097)), int(rng.integers(0, 600))]
    bias = rng.integers(-200, 200, outputs) if rng.random() < 0.6 else None
    if bias is not None and rng.random() < 0.1:
        bias = rng.choice([-4095, 4095], outputs)
    return {
        "i_decay": int(rng.choice([4096, 4096, *decays])),
        "v_decay": int(rng.choice(decays)),
        "vth_mant": int(rng.choice([1, int(rng.integers(1, 400)), int(rng.integers(1, 3000)), 131071])),
        "bias": bias,
    }


def _dense(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> IntegerLayer:
    outputs = int(rng.integers(1, 8))
    weight = _weights(rng, (outputs, int(np.prod(shape))))
    return IntegerLayer(name=name, kind="dense", weight=weight, input_shape=shape, **_neuron(rng, outputs))


def _convolution(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> IntegerLayer:
    channels = shape[0]
    groups = channels if channels > 1 and rng.random() < 0.3 else 1
    outputs = groups * int(rng.integers(1, 4))
    padding = tuple(int(p) for p in rng.integers(0, 3, 2))
    kernel = [int(rng.integers(1, min(4, shape[1 + a] + 2 * padding[a]) + 1)) for a in (0, 1)]
    room = [max(1, (shape[1 + a] + 2 * padding[a] - 1) // max(kernel[a] - 1, 1)) for a in (0, 1)]
    dilation = tuple(int(rng.integers(1, min(2, room[a]) + 1)) for a in (0, 1))
    return IntegerLayer(
        name=name,
        kind="conv",
        weight=_weights(rng, (outputs, channels // groups, *kernel)),
        input_shape=shape,
        stride=tuple(int(s) for s in rng.integers(1, 4, 2)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        **_neuron(rng, outputs),
    )
