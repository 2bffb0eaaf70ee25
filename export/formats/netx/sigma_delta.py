"""Sigma-delta neurons (SDNN) in .net files: which process netx makes of a neuron group, and its parameters."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.fields import number_at, refuse_set, text_at
from spikeport.export.formats.safe_hdf5 import Tree, text_of
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.export.network.neurons.sigma_delta import MESSAGE_BITS
from spikeport.export.network.readout import Readout
from spikeport.notes import note

TYPE = "SDNN"
_ACTIVATIONS = ("relu",)  # netx runs no other, whatever the file states


def is_sigma_delta(neuron: Tree) -> bool:
    """Whether a neuron group holds sigma-delta neurons.

    Args:
        neuron: the neuron group.
    """
    stated = neuron.members.get("type")
    return not isinstance(stated, Tree) and text_of(stated) == TYPE


def neuron_fields(neuron: Tree, group: Tree, where: str) -> dict[str, Any]:
    """Fields of an `IntegerLayer` from a neuron group of type SDNN.

    netx makes a Delta process in an input layer, a Sigma process where `sigma_output` is present, whatever its value,
    and a SigmaDelta process elsewhere.

    Args:
        neuron: the neuron group.
        group: the group of its layer.
        where: file and layer, for errors.

    Raises:
        UserError: netx would stop, or run other neurons than the file states.
    """
    if "messageBits" in neuron.members:
        raise UserError("sets messageBits", where=where, cause="netx stops at it",
                        hint=f"leave it out: netx then takes {MESSAGE_BITS} bits")  # fmt: skip
    for key in ("wgtExp", "weight_exp"):
        refuse_set(neuron, key, where, "netx ignores it", "scale the weights themselves")
    model = "delta" if text_at(group, "type", where) == "input" else (
        "sigma" if "sigma_output" in neuron.members else "sigma-delta")  # fmt: skip
    if model == "sigma-delta" and "activation" in neuron.members:
        activation = text_at(neuron, "activation", where)
        if activation.lower() not in _ACTIVATIONS:
            raise UserError(f"has the activation {activation[:40]!r}", where=where,
                            cause="netx would run ReLU in its place", hint="train with relu")  # fmt: skip
    if model == "sigma" and "bias" in group.members:
        raise UserError("has a bias and a sigma output", where=where, cause="netx stops at the bias",
                        hint="leave the bias out, and add it to the values that come out")  # fmt: skip
    if model == "delta" and "weight" not in group.members:
        note(f"{where}: the input layer multiplies frames by 64, which stands for SLAYER's 1.0; write weight 1 for "
             "frames that are scaled already")  # fmt: skip
    threshold = number_at(neuron, "vThMant", where) if model != "sigma" or "vThMant" in neuron.members else 0
    return {"neuron": model, "i_decay": 0, "v_decay": 0, "vth_mant": threshold}


def write_neuron(neuron: h5py.Group, layer: IntegerLayer) -> None:
    """Writes the neuron group of a sigma-delta layer as lava-dl does.

    Args:
        neuron: the empty group.
        layer: the layer.
    """
    neuron["type"] = TYPE.encode()
    neuron["activation"] = b"relu"
    neuron["vThMant"] = np.int32(layer.vth_mant)
    if layer.neuron == "sigma":
        neuron["sigma_output"] = True


def default_readout(last: IntegerLayer) -> Readout | None:
    """The read-out of a file that states none: the activation of the last layer after the last step.

    Args:
        last: the last layer. A sigma sends its sum at every step; what other layers send has to be added up.

    Returns:
        None where the neurons send spikes.
    """
    if not last.model.sends_values:
        return None
    return Readout(kind="values", over_time="last" if last.neuron == "sigma" else "sum")
