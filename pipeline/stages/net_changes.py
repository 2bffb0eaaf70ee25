"""What `export` may change in the network of a .net file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import Readout


def changed_net(
    network: IntegerNetwork, *, readout: str | None, message_bits: int, scaled_frames: bool, where: str
) -> IntegerNetwork:
    """The network with another input or read-out.

    Args:
        network: the network of a file.
        readout: how the output becomes a class; None: as the file says.
        message_bits: bits of the counts at the input; 0: as the file says.
        scaled_frames: whether frames hold the drive of the input neurons itself, so that they are neither multiplied
            nor shifted.
        where: the file, for errors.

    Raises:
        UserError: the network has no input neurons that could take scaled frames.
    """
    if message_bits:
        network = replace(network, input_message_bits=message_bits)
    if readout is not None:
        kind, _, over_time = readout.partition("-")
        asked: Any = {"kind": kind, "over_time": over_time or "sum"}
        network = replace(network, readout=Readout(**asked))
    if scaled_frames:
        first = network.layers[0]
        if first.kind != "input":
            raise UserError("has no input neurons", where=where, cause="its frames are spikes or messages already",
                            hint="leave --scaled-frames out")  # fmt: skip
        plain = replace(first, weight=np.ones_like(first.weight), bias=None)
        network = replace(network, layers=(plain, *network.layers[1:]))
    return network
