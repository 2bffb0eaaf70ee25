"""Networks whose spikes are worked out by hand: what `spikeport doctor` asks Lava."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork


def known_network() -> IntegerNetwork:
    """One neuron without leak: a spike adds 2, it fires above 5, so with a spike every step at every third one."""
    return _network("known", "dense", [[2]], v_decay=0, vth_mant=5)


def known_answers() -> list[tuple[IntegerNetwork, np.ndarray, np.ndarray]]:
    """Networks, frames `[N, T, *input_shape]` and the spikes `[N, T, outputs]` they must give."""
    always = np.ones((2, 7, 1), dtype=np.uint8)
    pulses = np.array([[[1, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]], dtype=np.uint8)
    # Weight 4 fires at once, weight 2 never. Spikes of input 0 wait 1 step for neuron 0 and 3 for neuron 1.
    delayed = _network("delay", "dense", [[4, 2], [4, 2]], delay=[[1, 0], [3, 0]])
    delayed_spikes = [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]
    # Each neuron fires the other one step later: the pulse goes round for ever. Input 1 alone reaches nobody.
    ring = _network("ring", "dense", [[4, 2], [2, 2]], weight_rec=[[2, 4], [4, 2]])
    once = np.array([[[0, 1], [1, 0], [0, 0], [0, 0], [0, 0]]] * 2, dtype=np.uint8)
    ring_spikes = [[0, 0], [1, 0], [0, 1], [1, 0], [0, 1]]
    # Only the right tap fires: out[x] = 2 in[x] + 4 in[x + 1], as torch has it (a true convolution would flip).
    conv = _network("conv", "conv", [[[[2, 4]]]], input_shape=(1, 1, 3))
    images = np.array([[[[[1, 0, 0]]], [[[0, 1, 0]]], [[[0, 0, 1]]]]], dtype=np.uint8)
    conv_spikes = [[0, 0], [1, 0], [0, 1]]
    return [
        (known_network(), always, np.array([[[0], [0], [1], [0], [0], [1], [0]]] * 2)),
        (delayed, pulses, np.array([delayed_spikes])),
        (ring, once, np.array([ring_spikes] * 2)),
        (conv, images, np.array([conv_spikes])),
    ]


def _network(name: str, kind: str, weight: list[Any], **given: Any) -> IntegerNetwork:
    values: dict[str, Any] = {"bias": None, "i_decay": 4096, "v_decay": 4096, "vth_mant": 3}
    values |= {"input_shape": (np.asarray(weight).shape[1],)} | given
    arrays = {key: np.asarray(value) for key, value in values.items() if isinstance(value, list)}
    layer = IntegerLayer(name=name, kind=kind, weight=np.asarray(weight), **(values | arrays))  # type: ignore[arg-type]
    return IntegerNetwork(input_shape=layer.input_shape, layers=(layer,))
