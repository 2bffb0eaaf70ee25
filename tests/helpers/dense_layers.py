"""Dense layers that several tests use."""

from __future__ import annotations

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer


def dense(outputs: int, inputs: int, **changes) -> IntegerLayer:
    """Eight-bit weights of both signs, small thresholds."""
    weight = np.full((outputs, inputs), 2)
    weight[0, 0] = -254
    given = {"i_decay": 4096, "v_decay": 100, "vth_mant": 300, "bias": None, "name": f"{inputs}-{outputs}"}
    return IntegerLayer(kind="dense", weight=weight, input_shape=(inputs,), **(given | changes))
