"""What the tests of the reference share: both engines, and frames that a random network may be given."""

import numpy as np
from random_networks import random_frames

from spikeport.export.backends.reference.events import refusal

ENGINES = ("events", "dense")


def legal_frames(rng, network):
    """Random frames that drive an input layer within what a bias may be."""
    frames = random_frames(rng, network)
    first = network.layers[0]
    if first.kind == "input":
        room = 4095 - int(np.abs(first.bias_map).max())
        frames = np.minimum(frames, min(255, room // abs(int(first.weight[0])))).astype(np.uint8)
    return frames


def runs(network, frames, engine):
    """Whether the engine takes this network at all: sums of counts can pass what the event-driven one proves safe."""
    return engine == "dense" or not refusal(network, frames.shape[1], "cpu")
