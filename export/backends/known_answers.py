"""Networks whose outputs were computed by hand, to test backends; used by `spikeport doctor`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout


def known_network() -> IntegerNetwork:
    """One neuron without leak. A spike adds 2 and it fires above 5: with a spike at every step, at every third step."""
    return _network("known", "dense", [[2]], v_decay=0, vth_mant=5)


def known_answers() -> list[tuple[IntegerNetwork, np.ndarray, np.ndarray]]:
    """Networks, their frames `[N, T, *input_shape]` and what they must send, `[N, T, outputs]`: spikes or values."""
    always = np.ones((2, 7, 1), dtype=np.uint8)
    pulses = np.array([[[1, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]], dtype=np.uint8)
    # Weight 4 fires at once, weight 2 never. Spikes of input 0 wait 1 step for neuron 0 and 3 for neuron 1.
    delayed = _network("delay", "dense", [[4, 2], [4, 2]], delay=[[1, 0], [3, 0]])
    delayed_spikes = [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]
    # Each neuron makes the other fire one step later: the pulse circulates. A spike of input 1 alone has no effect.
    ring = _network("ring", "dense", [[4, 2], [2, 2]], weight_rec=[[2, 4], [4, 2]])
    once = np.array([[[0, 1], [1, 0], [0, 0], [0, 0], [0, 0]]] * 2, dtype=np.uint8)
    ring_spikes = [[0, 0], [1, 0], [0, 1], [1, 0], [0, 1]]
    # Only the right tap fires: out[x] = 2 in[x] + 4 in[x + 1], a correlation as in torch, not a true convolution.
    conv = _network("conv", "conv", [[[[2, 4]]]], input_shape=(1, 1, 3))
    images = np.array([[[[[1, 0, 0]]], [[[0, 1, 0]]], [[[0, 0, 1]]]]], dtype=np.uint8)
    conv_spikes = [[0, 0], [1, 0], [0, 1]]
    return [
        (known_network(), always, np.array([[[0], [0], [1], [0], [0], [1], [0]]] * 2)),
        (delayed, pulses, np.array([delayed_spikes])),
        (ring, once, np.array([ring_spikes] * 2)),
        (conv, images, np.array([conv_spikes])),
        _sigma_delta(),
    ]


def _sigma_delta() -> tuple[IntegerNetwork, np.ndarray, np.ndarray]:
    """A delta neuron, two sigma-delta neurons and two sigmas. Below, 1 is 64 in weights, biases and thresholds.

    Threshold 2: of the inputs 1, 3, 4, 0, 5 the changes 1 and 1 wait, and 3, -3, 5 are sent, so that the layer behind
    knows 0, 3, 3, 0, 5. Its neurons are that and 7 - 2 times that, but not below 0: 0, 3, 3, 0, 5 and 7, 1, 1, 7, 0.
    Threshold 4: the first sends 0, 0, 0, 0, 5, since 3 waits until -3 cancels it, and the second 7, -6, 0, 6, -7.
    The sigmas add up the first minus the second, and half the first plus twice the second.
    """
    network = IntegerNetwork(
        input_shape=(1,),
        layers=(
            _sdnn("delta", "delta", [64], threshold=2),
            _sdnn("sigma-delta", "sigma-delta", [[64], [-128]], threshold=4, bias=np.array([0, 7 * 64])),
            _sdnn("sigma", "sigma", [[64, -64], [32, 128]], threshold=0),
        ),
        readout=Readout(kind="values", over_time="last"),
    )
    sums = np.array([[-7, 14], [-1, 2], [-1, 2], [-7, 14], [5, 2.5]])
    return network, np.array([[[1], [3], [4], [0], [5]]]), np.array([(sums * 2**18).astype(np.int64)])


def _sdnn(name: str, neuron: str, weight: list[Any], *, threshold: int, bias: np.ndarray | None = None) -> IntegerLayer:
    matrix = np.asarray(weight)
    return IntegerLayer(
        name=name,
        kind="input" if neuron == "delta" else "dense",
        neuron=neuron,
        weight=matrix,
        bias=bias,
        i_decay=0,
        v_decay=0,
        vth_mant=64 * threshold,
        input_shape=(matrix.shape[-1],),
    )


def _network(name: str, kind: Literal["dense", "conv"], weight: list[Any], **given: Any) -> IntegerNetwork:
    """A network of one layer; `given`: decays (default: nothing is kept), threshold (default 3), synapse."""
    matrix = np.asarray(weight)
    layer = IntegerLayer(
        name=name,
        kind=kind,
        weight=matrix,
        bias=None,
        i_decay=DECAY_ONE,
        v_decay=given.get("v_decay", DECAY_ONE),
        vth_mant=given.get("vth_mant", 3),
        input_shape=given.get("input_shape", (matrix.shape[1],)),
        weight_rec=None if "weight_rec" not in given else np.asarray(given["weight_rec"]),
        delay=None if "delay" not in given else np.asarray(given["delay"]),
    )
    return IntegerNetwork(input_shape=layer.input_shape, layers=(layer,))
