"""Reads the neurons of a layer of a .net file. A last layer that cannot fire is read out by its voltage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.fields import group_at, integers_at, per_neuron, refuse_set, text_at
from spikeport.export.formats.netx.sigma_delta import is_sigma_delta, neuron_fields
from spikeport.export.formats.safe_hdf5 import Tree
from spikeport.export.network.fixed_point import DECAY_ONE, THRESHOLD_LIMIT
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.export.network.readout import Readout
from spikeport.export.network.silence import STEPS_LIMIT, silent_steps
from spikeport.values import Shape

_NOT_CUBA = {
    "RF": "run it in lava-dl's netx itself, which has resonate-and-fire neurons; or train with CUBA neurons",
    "ADRF": "netx would run it as a plain resonate-and-fire neuron; train with CUBA neurons",
    "ALIF": "netx has no adaptive neuron and would stop; train with CUBA neurons",
}


class Neurons(TypedDict):
    """Fields of an IntegerLayer: one number, or one per neuron."""

    i_decay: np.ndarray
    v_decay: np.ndarray
    vth_mant: np.ndarray


def never_fires(group: Tree) -> bool:
    """Whether the neurons of a layer cannot fire in Lava, whose voltages are at most 2^23 - 1.

    netx gives a dense layer without a neuron group the threshold 2^17, SLAYER writes 2^18 - 1 for its Affine block.
    Both are shifted left by 6 bits.

    Args:
        group: the group of the layer.
    """
    neuron = group_at(group, "neuron")
    if neuron is None:
        return True
    if is_sigma_delta(neuron):
        return False
    threshold = neuron.members.get("vThMant")
    numeric = isinstance(threshold, np.ndarray) and threshold.dtype.kind in "iuf"
    return numeric and bool(np.all(threshold > THRESHOLD_LIMIT))  # type: ignore[operator]


def neurons_of(group: Tree, where: str, shape: Shape) -> Mapping[str, Any]:
    """The neurons of a layer, with the largest threshold of the chip where they never fire.

    Without a neuron group, netx adds up the input: iDecay 0, so that the current keeps all of it, and vDecay 4096, so
    that the voltage is the current of this step.

    Args:
        group: the group of the layer.
        where: layer or file, for the error.
        shape: shape of its neurons.

    Raises:
        UserError: they are not neurons that netx runs as the file says.
    """
    neuron = group_at(group, "neuron")
    if neuron is None:
        return Neurons(i_decay=np.array(0), v_decay=np.array(DECAY_ONE), vth_mant=np.array(THRESHOLD_LIMIT))
    if is_sigma_delta(neuron):
        return neuron_fields(neuron, group, where)
    if (fault := unknown_model(neuron, where)) is not None:
        raise fault
    if "messageBits" in neuron.members:
        raise UserError("sets messageBits", where=where, cause="netx stops at it", hint="leave it out")
    refuse_set(neuron, "refDelay", where, "netx has no refractory period", "train with a refDelay of 1", harmless=1)
    refuse_set(neuron, "gradedSpike", where, "netx sends plain spikes from CUBA neurons", "train with plain spikes")
    for key in ("wgtExp", "weight_exp"):
        refuse_set(neuron, key, where, "netx ignores it", "scale the weights themselves")
    i_decay, v_decay, vth_mant = (
        per_neuron(integers_at(neuron, key, where), shape, key, where) for key in ("iDecay", "vDecay", "vThMant")
    )
    if never_fires(group):
        vth_mant = np.array(THRESHOLD_LIMIT)
    return Neurons(i_decay=i_decay, v_decay=v_decay, vth_mant=vth_mant)


def unknown_model(neuron: Tree, where: str) -> UserError | None:
    """The error for neurons that are neither current-based nor sigma-delta; None for others.

    Args:
        neuron: the neuron group.
        where: layer or file, for the error.

    Raises:
        UserError: the group has no type.
    """
    if is_sigma_delta(neuron):
        return None
    model = text_at(neuron, "type", where)
    if model in ("CUBA", "LOIHI"):
        return None
    hint = next((hint for word, hint in reversed(_NOT_CUBA.items()) if word in model), "use CUBA neurons")
    return UserError(f"neuron type {model[:40]!r} is not supported", where=where, hint=hint)


def silent_fault(group: Tree, where: str) -> UserError:
    """The error for a layer before the last one that cannot fire.

    Args:
        group: the group of the layer.
        where: layer or file, for the error.
    """
    if group_at(group, "neuron") is None:
        return UserError("has no neuron", where=where,
                         cause="netx gives it neurons that never fire, so that nothing reaches the layers behind it",
                         hint="write the neuron group (CUBA, iDecay, vDecay, vThMant)")  # fmt: skip
    return UserError(f"has a threshold above {THRESHOLD_LIMIT}, which no voltage reaches", where=where,
                     cause="nothing reaches the layers behind it",
                     hint="only the last layer may be one that never fires (SLAYER's Affine)")  # fmt: skip


def membrane_readout(layer: IntegerLayer) -> Readout:
    """The read-out of a last layer that cannot fire.

    Neurons that keep all input (one decay 0, the other 4096) hold the sum over time at the end. Of others the voltages
    are summed over time.

    Args:
        layer: the layer.
    """
    decays = {int(value) for key in ("i_decay", "v_decay") for value in np.ravel(getattr(layer, key))}
    counts = all(isinstance(getattr(layer, key), int) for key in ("i_decay", "v_decay")) and decays == {0, DECAY_ONE}
    return Readout(kind="membrane", over_time="last" if counts else "sum")


def silent_note(group: Tree, where: str, layer: IntegerLayer) -> str:
    """What a last layer that cannot fire was read as, and for how long inputs of 0 and 1 cannot reach its threshold.

    Args:
        group: the group of the layer.
        where: layer or file.
        layer: the layer as it was read.
    """
    what = "has no neuron group, and netx adds up its inputs in neurons that never fire"
    if group_at(group, "neuron") is not None:
        what = "has a threshold that no voltage of 24 bits reaches"
    steps = silent_steps(layer, 1)
    bound = "cannot be reached"
    if steps < STEPS_LIMIT:
        bound += f" in the first {steps} steps, whatever enters; a simulation says if it is reached later"
    over_time = membrane_readout(layer).over_time
    return (f"{where}: {what}: the class is the output with the largest voltage ({over_time} over time). The "
            f"chip's largest threshold, {THRESHOLD_LIMIT}, {bound}")  # fmt: skip
