"""A network whose output k fires when input k does, and frames for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import SILENT

CLASSES, STEPS = 3, 4


def write_echo(file: Path) -> Path:
    """Writes a network whose output k fires exactly when input k does."""
    layer = IntegerLayer(
        name="fc",
        kind="dense",
        weight=100 * np.eye(CLASSES, dtype=int),
        bias=None,
        i_decay=4096,
        v_decay=4096,
        vth_mant=50,
        input_shape=(CLASSES,),
    )
    write_netx(IntegerNetwork(input_shape=(CLASSES,), layers=(layer,)), file)
    return file


def frames_of(*classes: int) -> np.ndarray:
    """Frames `[N, STEPS, CLASSES]` of inputs that fire once, at step 1; SILENT: nothing fires."""
    frames = np.zeros((len(classes), STEPS, CLASSES), dtype=np.uint8)
    for row, number in enumerate(classes):
        if number != SILENT:
            frames[row, 1, number] = 1
    return frames
