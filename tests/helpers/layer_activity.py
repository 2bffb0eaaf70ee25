"""The activity of one small layer, and the nominal value of an estimated energy."""

from __future__ import annotations

import numpy as np

from spikeport.pipeline.profiling.counts import Activity, LayerActivity


def one_layer(**counts: int) -> Activity:
    """A dense layer of 3 neurons with given counts."""
    given = {"events": 0, "synops": 0, "effective_synops": 0, "spikes": 0, "updates_active": 0, "messages": 0}
    layer = LayerActivity(
        name="layer",
        kind="dense",
        shape=(3,),
        neurons=3,
        weights=9,
        inputs=3,
        addressed_synapses=3,
        biases=0,
        state_words=1,
        state_muls=1,
        state_adds=0,
        steps=1,
        dense_ops_per_pass=9,
        naive_macs_per_pass=9,
        **{key: np.array([value]) for key, value in (given | counts).items()},
    )
    return Activity(layers=(layer,), samples=1, steps=1, backend="reference")


def nominal(energy: np.ndarray | None) -> float:
    """The mean over samples of the nominal value of `energy`, `[3, N]`."""
    assert energy is not None
    return float(energy[1].mean())
